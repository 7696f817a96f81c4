/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What type.c and types.c share.
 */
#pragma once

#include "bridge/mapping/type.h"

/* As sb_type_load_file(), but *ret is set as well when there were findings: what could be read. */
int sb_type_read(const char *path, const struct sb_driver_ops *const *drivers, struct sb_type **ret,
                 struct sb_diags *diags) SB_MUST_CHECK;
