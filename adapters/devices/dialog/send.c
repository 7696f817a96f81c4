/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines that are sent. With `echo: check` a line's end goes out only when its text came back as it
 * was sent, so that no device carries out a command that the line has damaged.
 */
#include <errno.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/port.h"

#define WRITE_MS (10 * SB_SECOND)
#define QUIET_MS 60
#define ECHO_MS  2000 /* and the time that the text takes */

static const char *const ends[] = {
    [SB_EOL_CR] = "\r", [SB_EOL_LF] = "\n", [SB_EOL_CRLF] = "\r\n", [SB_EOL_NONE] = ""
};

static int put(struct sb_dialog *dialog, const char *text)
{
    size_t n = strlen(text);
    int64_t pace = dialog->config->pace;
    int r = 0;
    if (pace == 0)
        return sb_port_write(dialog->port, text, n, sb_session_now(dialog->session) + WRITE_MS);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = sb_port_write(dialog->port, text + i, 1, sb_session_now(dialog->session) + WRITE_MS);
        if (r == 0)
            r = sb_session_sleep(dialog->session, pace);
    }
    return r;
}

/* Whether the text comes back: 0, or -ETIMEDOUT. Line breaks in it are a terminal's. */
static int await_echo(struct sb_dialog *dialog, const char *text)
{
    sb_cleanup(sb_str_done) struct sb_str heard = { 0 };
    size_t n = strlen(text), most = 4 * n + 256;
    int64_t end = sb_session_now(dialog->session) + ECHO_MS + (int64_t)n * 10;
    for (;;) {
        uint8_t byte;
        int r = sb_session_now(dialog->session) >= end ? -ETIMEDOUT
                                                       : sb_dialog_byte(dialog, end, &byte);
        if (r < 0)
            return r;
        if (byte == '\r' || byte == '\n')
            continue;
        sb_str_add_char(&heard, (char)byte);
        if (heard.broken)
            return -ENOMEM;
        if (heard.length >= n && memcmp(heard.text + heard.length - n, text, n) == 0)
            return 0;
        if (heard.length >= most)
            return -ETIMEDOUT; /* it talks of other things */
    }
}

static int clear_line(struct sb_dialog *dialog)
{
    int r = put(dialog, dialog->config->clear);
    dialog->in_at = dialog->in_n = 0;
    return r == 0 ? sb_port_drain(dialog->port, QUIET_MS, 10L * QUIET_MS) : r;
}

static enum sb_cause put_checked(struct sb_dialog *dialog, const char *text)
{
    int r = -ETIMEDOUT;
    for (int64_t i = 0; i < dialog->config->tries && r == -ETIMEDOUT; i++) {
        if (i > 0)
            r = clear_line(dialog);
        if (i == 0 || r == 0)
            r = put(dialog, text);
        if (r == 0)
            r = await_echo(dialog, text);
        if (r == -ETIMEDOUT)
            sb_session_line(dialog->session, "# its echo was wrong, or did not come");
    }
    if (r != -ETIMEDOUT)
        return r < 0 ? sb_dialog_trouble(dialog, r) : SB_CAUSE_NONE;
    (void)clear_line(dialog);
    dialog->unanswered = true;
    return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST,
                          "the device does not echo what is sent (nothing was carried out)");
}

enum sb_cause sb_dialog_send(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                             bool again)
{
    int eol = step->eol == SB_EOL_TYPE ? dialog->config->eol : step->eol;
    int echo = step->echo == SB_ECHO_TYPE ? dialog->config->echo : step->echo;
    sb_cleanup(sb_freep) char *text = NULL, *shown = NULL;
    enum sb_cause cause = sb_dialog_fill(dialog, step->send, true, &text);
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_fill(dialog, step->send, false, &shown);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (!again) { /* what was said before is no answer to it */
        sb_dialog_discard(dialog);
        sb_dialog_log(dialog, ">", shown);
    }
    int r = 0;
    if (echo == SB_ECHO_CHECK && *text)
        cause = put_checked(dialog, text);
    else
        r = put(dialog, text);
    if (cause == SB_CAUSE_NONE && r == 0)
        r = put(dialog, ends[eol]);
    return r < 0 ? sb_dialog_trouble(dialog, r) : cause;
}
