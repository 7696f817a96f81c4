/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <locale.h>

#include "bridge/ctl/ctl.h"
#include "bridge/ctl/screen.h"

int main(int argc, char **argv)
{
    sb_std_hold();
    struct sb_ctl ctl = { .out = stdout, .err = stderr };
    (void)setlocale(LC_CTYPE, "");
    (void)setlocale(LC_TIME, "");
    sb_screen_look(&ctl.style, STDOUT_FILENO);
    enum sb_exit code = sb_ctl_main(&ctl, argc, argv);
    bool lost = ferror(stdout); /* what was flushed before is no matter of the close */
    bool closed = fclose(stdout) == 0;
    if ((lost || !closed) && code == SB_EXIT_DONE) {
        (void)fprintf(stderr, "southbridgectl: the output could not be written%s%s\n",
                      closed ? "" : ": ", closed ? "" : strerror(errno));
        code = SB_EXIT_FAILED;
    }
    return (int)code;
}
