/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/screen.h"

#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include "bridge/base/time.h"

#define WIDTH_DEFAULT 80
#define ROWS_DEFAULT  24
#define WIDTH_MIN     30
#define WIDTH_MAX     1000

static unsigned number_of(const char *name)
{
    const char *text = getenv(name);
    long number = text ? strtol(text, NULL, 10) : 0;
    return number >= WIDTH_MIN && number <= WIDTH_MAX ? (unsigned)number : 0;
}

void sb_screen_look_again(struct sb_style *style, int fd)
{
    struct winsize size = { 0 };
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    style->now = (int64_t)now.tv_sec * SB_SECOND + now.tv_nsec / 1000000;
    if (!style->live) { /* programs get everything, unless somebody says how much fits */
        style->width = number_of("COLUMNS");
        return;
    }
    bool known = ioctl(fd, TIOCGWINSZ, &size) == 0;
    style->width = known && size.ws_col ? size.ws_col : number_of("COLUMNS");
    style->width = style->width ? SB_MAX(style->width, (unsigned)WIDTH_MIN) : WIDTH_DEFAULT;
    style->rows = known && size.ws_row ? size.ws_row : ROWS_DEFAULT;
}

void sb_screen_look(struct sb_style *style, int fd)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    const char *codeset = nl_langinfo(CODESET);
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    *style = (struct sb_style){ 0 };
    style->live = isatty(fd) && !dumb;
    style->color = style->live && !(no_color && *no_color);
    style->utf8 = codeset && strcmp(codeset, "UTF-8") == 0;
    sb_screen_look_again(style, fd);
}

void sb_screen_redraw(struct sb_str *out, unsigned before, const char *frame)
{
    if (before > 0)
        sb_str_format(out, "\r\x1b[%uA", before);
    for (size_t n; *frame; frame += n + (frame[n] == '\n')) {
        n = strcspn(frame, "\n");
        sb_str_add_bytes(out, frame, n);
        sb_str_add(out, "\x1b[K\n");
    }
    sb_str_add(out, "\x1b[J");
}
