/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help for tests of what reads files: expected findings, temporary folders.
 */
#pragma once

#include <stdio.h>

#include <ftw.h>
#include <sys/stat.h>

#include "bridge/base/diag.h"
#include "bridge/base/str.h"
#include "bridge/config/yaml.h"
#include "tests/test.h"

/* All findings as text must be exactly this; empties the list. */
static SB_UNUSED void expect_findings(struct sb_diags *diags, const char *expected)
{
    sb_cleanup(sb_freep) char *text = sb_diags_text(diags);
    assert_non_null(text);
    sb_diags_done(diags);
    assert_string_equal(text, expected);
}

/* One of the findings must have this in it; the list stays. */
static SB_UNUSED void expect_finding(const struct sb_diags *diags, const char *part)
{
    sb_cleanup(sb_freep) char *text = sb_diags_text(diags);
    assert_non_null(text);
    if (!strstr(text, part))
        fail_msg("no finding with: %s\nbut:\n%s", part, text);
}

/* A tree from text that must be sound; caller frees. */
static SB_UNUSED struct sb_yaml *tree(const char *text)
{
    struct sb_yaml *root = NULL;
    struct sb_diags diags = { 0 };
    int error = sb_yaml_parse("t.yaml", text, strlen(text), &root, &diags);
    expect_findings(&diags, "");
    assert_int_equal(error, 0);
    return root;
}

static SB_UNUSED char *new_folder(void)
{
    char pattern[] = "/tmp/sb-test-XXXXXX";
    assert_non_null(mkdtemp(pattern));
    return strdup(pattern);
}

static SB_UNUSED int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static SB_UNUSED void remove_folder(char *folder)
{
    assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(folder);
}

/* Writes folder/name (and the folders on the way); returns the path, caller frees. */
static SB_UNUSED char *put_file(const char *folder, const char *name, const char *text)
{
    char *path = sb_format("%s/%s", folder, name);
    assert_non_null(path);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}
