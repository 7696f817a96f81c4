/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite backend, file and all, on the simulated clock: a commit takes real time, but no
 * simulated time passes until it is answered.
 */
#pragma once

#include "bridge/store/store.h"

int sb_store_real_open(struct sb_loop *loop, const char *path,
                       const struct sb_backend_ops **ret_ops, void **ret_backend,
                       char **ret_error) SB_MUST_CHECK;
