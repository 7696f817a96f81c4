/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as it is: how wide, whether it has colours, which characters; and an area of lines
 * at its lower end that can be drawn again in place.
 */
#pragma once

#include <stdio.h>

#include "bridge/ctl/text.h"

/* Fills the style for what is written to fd. $COLUMNS, $NO_COLOR, $TERM and the locale count. */
void sb_screen_look(struct sb_style *style, int fd);
/* Only the size, which may have changed, and the time. */
void sb_screen_look_again(struct sb_style *style, int fd);

/*
 * Appends what replaces the `before` lines that were drawn last by `frame`, whose lines each end
 * with a line end.
 */
void sb_screen_redraw(struct sb_str *out, unsigned before, const char *frame);
