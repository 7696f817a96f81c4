/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/dialect.h"

#include "bridge/base/str.h"

void sb_message_done(struct sb_message *message)
{
    free(message->name);
    free(message->id);
    free(message->what);
    free(message->error);
    json_decref(message->body);
    free(message->data);
    *message = (struct sb_message){ 0 };
}

static void output_done(struct sb_output *output)
{
    char *strings[] = { output->tag,   output->id,  output->name,  output->text,
                        output->topic, output->key, output->token, output->what };
    for (size_t i = 0; i < SB_COUNT(strings); i++)
        free(strings[i]);
    json_decref(output->json);
    free(output->bytes);
    json_decref(output->package);
    sb_policy_done(&output->policy);
}

void sb_effects_done(struct sb_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        output_done(&effects->list[i]);
    free(effects->list);
    *effects = (struct sb_effects){ 0 };
}

struct sb_output *sb_effects_add(struct sb_effects *effects, enum sb_output_kind kind)
{
    if (effects->count == effects->room) {
        size_t room = effects->room ? effects->room * 2 : 8;
        struct sb_output *list = reallocarray(effects->list, room, sizeof(*list));
        if (!list) {
            effects->broken = true;
            return NULL;
        }
        effects->list = list;
        effects->room = room;
    }
    struct sb_output *output = &effects->list[effects->count++];
    *output = (struct sb_output){ .kind = kind };
    return output;
}

/* Takes one placeholder's share off the topic; NULL: it would be empty. */
static const char *take_part(const char *topic, bool last, struct sb_topic_part *ret)
{
    size_t length = last ? strlen(topic) : strcspn(topic, "/");
    *ret = (struct sb_topic_part){ topic, length };
    return length > 0 ? topic + length : NULL;
}

bool sb_topic_match(const char *pattern, const char *topic, struct sb_topic_part *ret_parts,
                    size_t count)
{
    size_t found = 0;
    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *topic++)
                return false;
            continue;
        }
        const char *end = strchr(pattern, '}');
        if (!end || found == count)
            return false;
        pattern = end + 1;
        topic = take_part(topic, *pattern == '\0', &ret_parts[found++]);
        if (!topic)
            return false;
    }
    return *topic == '\0' && found == count;
}
