/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding, steps, saving and loading with their first, second, ... allocation failing: each ends
 * with -ENOMEM until there is enough, leaves nothing behind and a state that can go on.
 */
#include <errno.h>

#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "tests/fakes/ibm_world.h"
#include "tests/fakes/starving.h"
#include "tests/test.h"

/* ---- what is tried ---- */

struct trial {
    const char *suffix, *payload; /* a message, or */
    enum sb_news_kind news;       /* news, or */
    enum sb_input_kind input;     /* another input (not MESSAGE) */
    enum sb_task_state state;     /* of the task the news are about */
    bool staged;
    void (*before)(struct wiot *w); /* how the world got there */
};

#define IMAGE                                                                                      \
    "{\"reqId\":\"u\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{\"version\":"     \
    "\"2\",\"name\":\"n\",\"uri\":\"https://h/x\",\"verifier\":"                                   \
    "\"d41d8cd98f00b204e9800998ecf8427e\"}}]}}"
#define FIRMWARE "{\"reqId\":\"o\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}"
#define DOWNLOAD "mgmt/initiate/firmware/download"
#define CUSTOM   "mgmt/custom/southbridge/"

static void described(struct wiot *w)
{
    wiot_up(w);
    wiot_says(w, "device/update", IMAGE);
    wiot_says(w, "observe", FIRMWARE);
}

static void downloading(struct wiot *w)
{
    described(w);
    wiot_says(w, DOWNLOAD, "{\"reqId\":\"d\"}");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
}

static void waiting(struct wiot *w)
{
    described(w);
    wiot_says(w, DOWNLOAD, "{\"reqId\":\"d\"}");
}

static void installing(struct wiot *w)
{
    downloading(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    wiot_says(w, "mgmt/initiate/firmware/update", "{\"reqId\":\"i\"}");
}

static void rebooting(struct wiot *w)
{
    wiot_up(w);
    wiot_says(w, "mgmt/initiate/device/reboot", "{\"reqId\":\"r\"}");
}

static void reading(struct wiot *w)
{
    wiot_says(w, CUSTOM "read",
              "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"a\"}]}}");
    w->tasks[0].result = json_pack("{s:i,s:s}", "a", 1, "b", "text");
}

static const struct trial trials[] = {
    { "device/update", IMAGE },
    { "device/update", "{\"d\":{\"fields\":[{\"field\":\"location\",\"value\":{\"latitude\":1,"
                       "\"longitude\":2}}]}}" },
    { "device/update", "{\"reqId\":\"u\",\"d\":{\"fields\":[{\"field\":\"x\",\"value\":1}]}}" },
    { "device/update",
      "{\"reqId\":\"u2\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\","
      "\"value\":{\"uri\":\"https://h/y\"}}]}}",
      .before = waiting },
    { "observe", FIRMWARE },
    { "cancel", "{\"reqId\":\"c\",\"d\":{\"data\":[{\"field\":\"mgmt.firmware\"}]}}" },
    { "mgmt/initiate/device/reboot", "{\"reqId\":\"r\"}" },
    { "mgmt/initiate/device/reboot", "{\"reqId\":\"r\",," },
    { DOWNLOAD, "{\"reqId\":\"d\"}" },
    { DOWNLOAD, "{\"reqId\":\"d\"}", .before = described },
    { DOWNLOAD, "{\"reqId\":\"d\"}", .before = downloading },
    { CUSTOM "read", "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":"
                     "\"a,b\"}]}}" },
    { CUSTOM "write", "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"speed\",\"value\":"
                      "\"4\"}]}}" },
    { CUSTOM "rinse", "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"a\",\"value\":1}]}}" },
    { "mgmt/what", "{\"reqId\":\"w\"}" },
    { "response", "{\"rc\":500,\"reqId\":\"w\"}" },
    { "response", "{\"rc\":\"500\",\"reqId\":w}" },
    { .news = SB_NEWS_TASK, .state = SB_TASK_DOWNLOADING, .before = waiting },
    { .news = SB_NEWS_TASK, .state = SB_TASK_SUCCEEDED, .before = waiting },
    { .news = SB_NEWS_TASK, .state = SB_TASK_SUCCEEDED, .before = downloading },
    { .news = SB_NEWS_TASK, .state = SB_TASK_FAILED, .before = downloading },
    { .news = SB_NEWS_TASK, .state = SB_TASK_FAILED, .before = waiting },
    { .news = SB_NEWS_TASK, .state = SB_TASK_SUCCEEDED, .before = installing },
    { .news = SB_NEWS_TASK, .state = SB_TASK_SUCCEEDED, .before = rebooting },
    { .news = SB_NEWS_TASK, .state = SB_TASK_FAILED, .before = rebooting },
    { .news = SB_NEWS_TASK, .state = SB_TASK_SUCCEEDED, .before = reading },
    { .news = SB_NEWS_STAGED, .staged = true, .before = described },
    { .news = SB_NEWS_DEVICE_REMOVED, .before = waiting },
    { .news = SB_NEWS_IDENTITY, .before = described },
    { .input = SB_IN_UP },
    { .input = SB_IN_DOWN, .before = described },
    { .input = SB_IN_LOADED, .before = waiting },
    { .input = SB_IN_TIMER, .before = waiting },
    { .input = SB_IN_VERDICT, .before = waiting },
};

static struct sb_verdict refusal = { .cause = SB_CAUSE_REFUSED };

static void fill(struct wiot *w, struct sb_input *input)
{
    input->link = "cloud";
    input->name = "pump/p7";
    input->device = &w->device;
    input->staged = w->staged ? &w->package : NULL;
    input->words = w->words;
    input->config = &w->config;
    input->now = w->now;
    input->wall = w->wall;
    input->ready = true;
}

/* One go with n allocations; what the step returned. */
static int go(const struct trial *trial, struct wiot *w, int n)
{
    struct sb_message message = { 0 };
    struct sb_effects effects = { 0 };
    struct sb_news news = { .kind = trial->news, .device = &w->device };
    struct sb_input input = { .kind = trial->input, .tag = "ask:d", .verdict = &refusal };
    int r = 0;
    if (trial->news == SB_NEWS_TASK && w->task_count > 0) {
        news.task = &w->tasks[w->task_count - 1];
        w->tasks[w->task_count - 1].state = trial->state;
        w->tasks[w->task_count - 1].cause =
            trial->state == SB_TASK_FAILED ? SB_CAUSE_TIMEOUT : SB_CAUSE_NONE;
    }
    if (trial->suffix) {
        sb_cleanup(sb_freep) char *topic = sb_format("iotdm-1/type/pump/id/p7/%s", trial->suffix);
        starved_grant(n);
        r = sb_ibm_decode(w->words, &w->config, topic, trial->payload, strlen(trial->payload),
                          &message);
        input.message = &message;
    } else if (!trial->input) {
        input.kind = SB_IN_NEWS;
        input.news = &news;
    }
    if (input.kind == SB_IN_VERDICT)
        input.tag = "d";
    fill(w, &input);
    if (!trial->suffix)
        starved_grant(n);
    r = r ? r : sb_ibm_step(w->state, &input, &effects);
    starved_grant(STARVED_UNLIMITED);
    sb_effects_done(&effects);
    sb_message_done(&message);
    return r;
}

SB_TEST(every_input_short_of_memory)
{
    for (size_t i = 0; i < SB_COUNT(trials); i++) {
        int failures = 0, r = -ENOMEM;
        for (int n = 0; r != 0 && n < STARVED_MOST; n++) {
            struct wiot *w = wiot_new();
            w->package = (struct sb_package){ .version = "2", .name = "n", .artifact = "ff" };
            if (trials[i].before)
                trials[i].before(w);
            w->staged = w->staged || trials[i].staged;
            r = go(&trials[i], w, n);
            if (r != 0 && r != -ENOMEM)
                fail_msg("trial %zu: %d", i, r);
            failures += r != 0;
            wiot_forget(w);
            wiot_says(w, "mgmt/what", "{\"reqId\":\"after\"}"); /* it goes on */
            assert_non_null(wiot_next(w, "response"));
            wiot_free(w);
        }
        if (r != 0 || failures == 0)
            fail_msg("trial %zu: %d after %d failures", i, r, failures);
    }
}

SB_TEST(keeping_short_of_memory)
{
    struct wiot *w = wiot_new();
    installing(w);
    starve_keeping(&sb_ibm_dialect, w->state);
    wiot_free(w);
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
