/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the configuration leads to, checked without starting anything: links with their
 * words and files, buses, device types, declared devices, and that they fit together. More than a
 * start asks for: that goes on without a link whose token is missing.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/config/config.h"

/* 0; -EINVAL with findings, section by section; -ENOMEM. */
int sb_check_all(const struct sb_config *config, const struct sb_adapters *adapters,
                 struct sb_diags *diags) SB_MUST_CHECK;
