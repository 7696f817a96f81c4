/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the transcripts in tests/transcripts/ibm, line by line:
 *   < topic payload     the platform sends
 *   > topic payload     the gateway sends next; payload * is any, "reqId": "*" any id
 *   = silent            the gateway sends nothing more
 *   ! up | down | restart | task N STATE | fails N CAUSE PHASE | version V | pass DURATION
 */
#include <dirent.h>
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"
#include "tests/test.h"

struct place {
    const char *file;
    int line;
};

static void wiot_does(struct wiot *wiot, char *text, const struct place *place)
{
    char *save = NULL;
    const char *verb = strtok_r(text, " ", &save);
    const char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
    const char *c = strtok_r(NULL, " ", &save);
    int64_t ms = 0;
    if (sb_streq(verb, "up"))
        wiot_up(wiot);
    else if (sb_streq(verb, "down"))
        wiot_down(wiot);
    else if (sb_streq(verb, "restart"))
        assert_true(wiot_restarts(wiot));
    else if (sb_streq(verb, "task") && b && sb_task_state_from_name(b) >= 0)
        wiot_task(wiot, (size_t)atoi(a), (enum sb_task_state)sb_task_state_from_name(b));
    else if (sb_streq(verb, "fails") && c && sb_cause_from_name(b) >= 0)
        wiot_fails(wiot, (size_t)atoi(a), (enum sb_cause)sb_cause_from_name(b),
                   (enum sb_phase)sb_phase_from_name(c));
    else if (sb_streq(verb, "version") && a) {
        (void)json_object_set_new(wiot->device.versions, "", json_string(a));
        wiot_news(wiot, SB_NEWS_IDENTITY);
    } else if (sb_streq(verb, "pass") && sb_duration_parse(a, &ms) == 0)
        wiot_passes(wiot, ms);
    else
        fail_msg("%s:%d: what is '%s'?", place->file, place->line, verb ? verb : "");
}

static void play(struct wiot *wiot, char *line, const struct place *place)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *topic = line[0] && line[1] ? line + 2 : line;
    char *payload = strchr(topic, ' ');
    switch (line[0]) {
    case '\0':
    case '#':
        return;
    case '!':
        wiot_does(wiot, topic, place);
        return;
    case '=':
        if (!wiot_silent(wiot))
            fail_msg("%s:%d: something was sent", place->file, place->line);
        return;
    case '<':
    case '>':
        break;
    default:
        fail_msg("%s:%d: not a transcript", place->file, place->line);
    }
    if (!payload)
        fail_msg("%s:%d: no payload", place->file, place->line);
    *payload++ = '\0';
    if (line[0] == '>') {
        if (!wiot_sent_on(wiot, topic, payload))
            fail_msg("%s:%d: this was not sent", place->file, place->line);
        return;
    }
    wiot_hears(wiot, topic, payload, strlen(payload));
    wiot->known = true; /* the device the world's own events are about */
}

static void replay(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct wiot *wiot = wiot_new();
    struct place place = { path, 0 };
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) >= 0) {
        place.line++;
        play(wiot, line, &place);
    }
    if (!wiot_silent(wiot))
        fail_msg("%s: something was sent at the end", path);
    free(line);
    wiot_free(wiot);
    (void)fclose(file);
}

SB_TEST(every_transcript)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *folder =
        sb_format("%s/tests/transcripts/ibm", source ? source : ".");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".txt"))
            continue;
        sb_cleanup(sb_freep) char *path = sb_format("%s/%s", folder, entry->d_name);
        print_message("%s\n", path);
        replay(path);
        count++;
    }
    (void)closedir(dir);
    assert_in_range(count, 4, 1000);
}
