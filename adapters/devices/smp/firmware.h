/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware: where a device stands on the way to an image (boot.c), and the way itself.
 *
 * sb_smp_decide() looks at nothing but what the device holds (and whether this very command has
 * already reset it), so that a fresh start and a resume after any crash are the same thing.
 */
#pragma once

#include "adapters/devices/smp/image.h"
#include "adapters/devices/smp/talk.h"

enum sb_smp_stage { /* what is to be done next; in this order */
                    SB_SMP_AT_UPLOAD,
                    SB_SMP_AT_TEST,
                    SB_SMP_AT_RESET,
                    SB_SMP_AT_CONFIRM,
                    SB_SMP_AT_END,
                    SB_SMP_AT_ROLLED_BACK,
};

struct sb_smp_goal {
    char hash[SB_SHA256_HEX + 1];
    uint32_t image;
    bool direct;     /* the first slot itself, no test boot */
    bool begun;      /* direct: this command wrote it and has not restarted the device yet */
    bool reset_sent; /* this command has sent the reset after marking the image for test */
    bool confirm;    /* it shall be made permanent */
};
enum sb_smp_stage sb_smp_decide(const struct sb_smp_list *list, const struct sb_smp_goal *goal);

struct sb_smp_file { /* the image, opened */
    int fd;
    int64_t size;
    const char *sha256; /* of the whole file, hex; may be NULL */
};

struct sb_smp_update { /* one under way */
    struct sb_smp *smp;
    struct sb_smp_goal goal;
    struct sb_smp_file file;
    char *version;           /* of the image; NULL: not known */
    struct sb_smp_list list; /* the newest */
};

/* Keeps what a resume needs to know. */
enum sb_cause sb_smp_keep(struct sb_smp_update *fw, const char *stage);
/* Marks the image for test, or confirms the running one; then reads the list anew. */
enum sb_cause sb_smp_write_state(struct sb_smp_update *fw, bool confirm, const char *what);
/* Passes the commit point, resets, and waits: CONFIRM, END or ROLLED_BACK in *ret. */
enum sb_cause sb_smp_do_reset(struct sb_smp_update *fw, enum sb_smp_stage *ret);
enum sb_cause sb_smp_do_confirm(struct sb_smp_update *fw);  /* after its health was watched */
enum sb_cause sb_smp_rolled_back(struct sb_smp_update *fw); /* the failure's words */

/* Sends the file; probe: the device may still hold the first part of it. */
enum sb_cause sb_smp_upload(struct sb_smp *smp, const struct sb_smp_file *file,
                            const struct sb_smp_goal *goal, bool probe);
enum sb_cause sb_smp_firmware(struct sb_smp *smp); /* download, install, update */
enum sb_cause sb_smp_confirm(struct sb_smp *smp);  /* the running image, by a person's word */
