/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help for tests of what a driver takes from a device type.
 */
#pragma once

#include "bridge/mapping/type.h"
#include "tests/unit/findings.h"

static int load_text(const struct sb_driver_ops *const *drivers, const char *text,
                     struct sb_type **ret, struct sb_diags *diags)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *path = put_file(folder, "t.yaml", text);
    int r = sb_type_load_file(path, drivers, ret, diags);
    remove_folder(folder);
    return r;
}

struct wrong_type {
    const char *text, *finding;
};

static void expect_wrong(const struct sb_driver_ops *const *drivers, const struct wrong_type *cases,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sb_type *type = NULL;
        struct sb_diags diags = { 0 };
        int r = load_text(drivers, cases[i].text, &type, &diags);
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        if (r != -EINVAL || !text || !strstr(text, cases[i].finding))
            fail_msg("case %zu: %d %s\nnot: %s", i, r, text ? text : "", cases[i].finding);
        sb_diags_done(&diags);
    }
}

/* Caller unrefs. */
static struct sb_type *shipped_type(const struct sb_driver_ops *const *drivers, const char *name)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/mappings/devices/%s.yaml", source ? source : ".", name);
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    if (sb_type_load_file(path, drivers, &type, &diags) < 0)
        fail_msg("%s", sb_diags_text(&diags));
    sb_diags_done(&diags);
    return type;
}
