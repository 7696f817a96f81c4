/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>

#include "bridge/ctl/ctl.h"
#include "bridge/ctl/screen.h"

int main(int argc, char **argv)
{
    struct sb_ctl ctl = { .out = stdout, .err = stderr };
    (void)setlocale(LC_CTYPE, "");
    (void)setlocale(LC_TIME, "");
    sb_screen_look(&ctl.style, STDOUT_FILENO);
    enum sb_exit code = sb_ctl_main(&ctl, argc, argv);
    if (fclose(stdout) != 0 && code == SB_EXIT_DONE) {
        perror("southbridgectl: output");
        code = SB_EXIT_FAILED;
    }
    return (int)code;
}
