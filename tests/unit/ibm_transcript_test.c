/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the transcripts in tests/transcripts/ibm, line by line:
 *   < topic payload     the platform sends
 *   > topic payload     the gateway sends next; payload * is any, "reqId": "*" any id
 *   = silent            the gateway sends nothing more
 *   ! up | down | restart | task N STATE | fails N CAUSE PHASE | version V | pass DURATION
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"

struct place {
    const char *file;
    int line;
};

static void world_does(struct world *world, char *text, const struct place *place)
{
    char *save = NULL;
    const char *verb = strtok_r(text, " ", &save);
    const char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
    const char *c = strtok_r(NULL, " ", &save);
    int64_t ms = 0;
    if (sb_streq(verb, "up"))
        world_up(world);
    else if (sb_streq(verb, "down"))
        world_down(world);
    else if (sb_streq(verb, "restart"))
        assert_true(world_restarts(world));
    else if (sb_streq(verb, "task") && b && sb_task_state_from_name(b) >= 0)
        world_task(world, (size_t)atoi(a), (enum sb_task_state)sb_task_state_from_name(b));
    else if (sb_streq(verb, "fails") && c && sb_cause_from_name(b) >= 0)
        world_fails(world, (size_t)atoi(a), (enum sb_cause)sb_cause_from_name(b),
                    (enum sb_phase)sb_phase_from_name(c));
    else if (sb_streq(verb, "version") && a) {
        (void)json_object_set_new(world->device.versions, "", json_string(a));
        world_news(world, SB_NEWS_IDENTITY);
    } else if (sb_streq(verb, "pass") && sb_duration_parse(a, &ms) == 0)
        world_passes(world, ms);
    else
        fail_msg("%s:%d: what is '%s'?", place->file, place->line, verb ? verb : "");
}

static void play(struct world *world, char *line, const struct place *place)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *topic = line[0] && line[1] ? line + 2 : line;
    char *payload = strchr(topic, ' ');
    switch (line[0]) {
    case '\0':
    case '#':
        return;
    case '!':
        world_does(world, topic, place);
        return;
    case '=':
        if (!world_silent(world))
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
        if (!world_sent_on(world, topic, payload))
            fail_msg("%s:%d: this was not sent", place->file, place->line);
        return;
    }
    world_hears(world, topic, payload, strlen(payload));
    world->known = true; /* the device the world's own events are about */
}

static void replay(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct world *world = world_new();
    struct place place = { path, 0 };
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) >= 0) {
        place.line++;
        play(world, line, &place);
    }
    if (!world_silent(world))
        fail_msg("%s: something was sent at the end", path);
    free(line);
    world_free(world);
    (void)fclose(file);
}

static void every_transcript(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_transcript) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
