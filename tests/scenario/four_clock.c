/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/four_net_parts.h"

struct item *net_items;
bool net_running;
static struct sb_loop *power;
static struct sb_timer *timer;
static int64_t base; /* net_now() when the loop began */
static int64_t loop_began;
static uint32_t dice;

uint32_t net_draw(uint32_t below)
{
    dice = dice * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)(dice >> 4) * below) >> 28);
}

void net_skip(int64_t ms)
{
    base += ms;
}

int64_t net_now(void)
{
    return power ? base + sb_loop_now(power) - loop_began : base;
}

void net_item_free(struct item *item)
{
    free(item->topic);
    free(item->payload);
    free(item);
}

void net_arm(void)
{
    if (!power || net_running)
        return;
    if (net_items)
        sb_timer_in(timer, SB_MAX(net_items->due - net_now(), 0));
    else
        sb_timer_stop(timer);
}

struct item *net_add(enum kind kind, int64_t due)
{
    struct item *item = calloc(1, sizeof(*item));
    struct item **at = &net_items;
    if (!item)
        abort();
    *item = (struct item){ .kind = kind, .due = due };
    while (*at && (*at)->due <= due)
        at = &(*at)->next;
    item->next = *at;
    *at = item;
    return item;
}

void net_later(int64_t ms, void (*fn)(int64_t arg), int64_t arg)
{
    struct item *item = net_add(CALL, net_now() + ms);
    item->call = fn;
    item->id = arg;
    net_arm();
}

void net_items_free(struct item **list)
{
    while (*list) {
        struct item *item = *list;
        *list = item->next;
        net_item_free(item);
    }
}

static void on_timer(void *arg SB_UNUSED)
{
    net_running = true;
    while (net_items && net_items->due <= net_now()) {
        struct item *item = net_items;
        net_items = item->next;
        net_happen(item);
        net_item_free(item);
    }
    net_running = false;
    net_bury();
    net_arm();
}

void net_power(struct sb_loop *loop)
{
    base = net_now();
    timer = sb_timer_free(timer);
    power = loop;
    if (!loop)
        return;
    loop_began = sb_loop_now(loop);
    if (sb_timer_new(loop, on_timer, NULL, &timer) < 0)
        abort();
    net_arm();
}

void net_clock_reset(uint32_t seed)
{
    net_items_free(&net_items);
    base = 0;
    dice = seed * 2654435761U + 1;
}
