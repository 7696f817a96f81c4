/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the configuration leads to, checked without starting anything: links with their
 * words, buses, device types, declared devices, and that they fit together; and apart from that
 * the files of links, without which a start leaves a link down and goes on.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/config/config.h"

struct sb_types;

/* 0; -EINVAL with findings, section by section; -ENOMEM. */
int sb_check_all(const struct sb_config *config, const struct sb_adapters *adapters,
                 struct sb_diags *diags) SB_MUST_CHECK;
/* What a device that is registered at run time refers to: bus, type, address, links, dialects. 0;
 * -EINVAL with findings; -ENOMEM. */
int sb_check_device(const struct sb_config *config, const struct sb_adapters *adapters,
                    const struct sb_types *types, const json_t *spec,
                    struct sb_diags *diags) SB_MUST_CHECK;
/* Devices that are on one line and must not be: of two with one address the finding is at the
 * second. 0; -EINVAL with findings; -ENOMEM. */
int sb_check_lines(const struct sb_config *config, const struct sb_types *types,
                   const json_t *specs, struct sb_diags *diags) SB_MUST_CHECK;
/* Tokens and certificates that links name: are they there, and readable by this user? */
int sb_check_files(const struct sb_config *config, const struct sb_adapters *adapters,
                   struct sb_diags *diags) SB_MUST_CHECK;
