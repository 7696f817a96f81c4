/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one formatter that makes foreign text safe to show; log.h has its policy. Any thread.
 * For log.c only: everybody else uses sb_redact().
 */
#pragma once

#include "bridge/base/str.h"

#define SB_REDACT_MAX ((size_t)2048) /* bytes of one entry */

/* Appends text, at most max bytes of it as shown; quoted: fit to stand between double quotes. */
void sb_redact_to(struct sb_str *out, const char *text, bool quoted, size_t max);
