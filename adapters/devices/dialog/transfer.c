/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image through the XMODEM and YMODEM machine, over the port.
 */
#include <errno.h>
#include <fcntl.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/time.h"
#include "bridge/port.h"

#define FAREWELL_MS SB_SECOND
#define WRITE_MS    (60 * SB_SECOND) /* a long block at 300 baud */

static int read_image(void *arg, int64_t at, void *ret, size_t n)
{
    return sb_read_at(*(int *)arg, at, ret, n);
}

static enum sb_cause failed(struct sb_dialog *dialog, const struct sb_xmodem *x)
{
    long long at = (long long)x->acked;
    switch (x->failure) {
    case SB_XMODEM_NOT_ASKED:
        dialog->unanswered = true;
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST, "the device never asked for the image");
    case SB_XMODEM_SILENT:
        dialog->unanswered = true;
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST,
                              "the device stopped answering after %lld bytes of the image", at);
    case SB_XMODEM_REFUSED:
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST,
                              "the device takes no block after %lld bytes: too many errors on the "
                              "line",
                              at);
    case SB_XMODEM_ABORTED:
        return sb_dialog_fail(dialog, SB_CAUSE_REFUSED,
                              "the device broke the transfer off after %lld bytes", at);
    default:
        dialog->hard = true;
        return sb_dialog_fail(dialog, SB_CAUSE_INTERNAL, "the image's file cannot be read");
    }
}

static int write_out(struct sb_dialog *dialog, struct sb_xmodem *x)
{
    sb_dialog_discard(dialog);
    int r =
        sb_port_write(dialog->port, x->out, x->out_n, sb_session_now(dialog->session) + WRITE_MS);
    if (r == 0)
        sb_xmodem_sent(x, sb_session_now(dialog->session));
    return r;
}

/* Runs it to its end: 0, or the port's error. */
static int run(struct sb_dialog *dialog, struct sb_xmodem *x)
{
    while (x->state == SB_XMODEM_RUNNING) {
        uint8_t byte;
        int r = x->out_n > 0 ? write_out(dialog, x) : 0;
        if (r < 0)
            return r;
        r = sb_dialog_byte(dialog, x->deadline, &byte);
        int64_t now = sb_session_now(dialog->session);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
        if (r == 0)
            sb_xmodem_byte(x, byte, now);
        sb_xmodem_time(x, now);
        sb_session_progress(dialog->session, SB_PHASE_TRANSFERRING, (uint64_t)x->acked,
                            (uint64_t)x->job.size);
    }
    return 0;
}

/* So that the device waits no longer; also when we were stopped. */
static bool say_farewell(struct sb_dialog *dialog, struct sb_xmodem *x, bool stopped)
{
    if (x->out_n == 0)
        return true;
    if (dialog->port->failed || (stopped && sb_session_part(dialog->session) < 0))
        return false;
    return sb_port_write(dialog->port, x->out, x->out_n,
                         sb_session_now(dialog->session) + FAREWELL_MS) == 0;
}

static enum sb_cause send_image(struct sb_dialog *dialog, struct sb_xmodem *x)
{
    int r = run(dialog, x);
    if (r < 0)
        sb_xmodem_cancel(x);
    if (x->state == SB_XMODEM_FAILED && !say_farewell(dialog, x, r == -ECANCELED))
        sb_session_note(dialog->session, "the device could not be told that the transfer ended");
    if (r < 0)
        return sb_dialog_trouble(dialog, r);
    return x->state == SB_XMODEM_DONE ? SB_CAUSE_NONE : failed(dialog, x);
}

enum sb_cause sb_dialog_transfer(struct sb_dialog *dialog, enum sb_xmodem_kind kind)
{
    const struct sb_image *image = dialog->command->image;
    int64_t begin = sb_session_now(dialog->session);
    if (!image) {
        dialog->hard = true;
        return sb_dialog_fail(dialog, SB_CAUSE_NOT_READY, "there is no image to send");
    }
    sb_cleanup(sb_closep) int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    sb_cleanup(sb_freep) struct sb_xmodem *x = calloc(1, sizeof(*x));
    if (fd < 0 || !x)
        return sb_dialog_trouble(dialog, fd < 0 ? -errno : -ENOMEM);
    const struct sb_xmodem_job job = { .kind = kind,
                                       .name = image->name && *image->name ? image->name : "image",
                                       .size = image->size,
                                       .timeout = dialog->config->transfer_timeout,
                                       .first_timeout = dialog->config->transfer_first,
                                       .tries = (unsigned)dialog->config->transfer_tries,
                                       .read = read_image,
                                       .arg = &fd };
    sb_session_note(dialog->session, "%s: %lld bytes", sb_xmodem_kind_name((int)kind),
                    (long long)image->size);
    sb_xmodem_begin(x, &job, begin);
    enum sb_cause cause = send_image(dialog, x);
    dialog->deadline += sb_session_now(dialog->session) - begin;
    sb_console_reset(&dialog->console);
    sb_session_note(dialog->session, "%s %s after %lld bytes", sb_xmodem_kind_name((int)kind),
                    cause == SB_CAUSE_NONE ? "done" : "ended", (long long)x->acked);
    return cause;
}
