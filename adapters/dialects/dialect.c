/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/dialect.h"

#include <errno.h>

#include "bridge/base/crypto.h"
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

void sb_connect_done(struct sb_connect *connect)
{
    free(connect->uri);
    free(connect->client_id);
    free(connect->user);
    sb_secret_free(connect->password);
    for (size_t i = 0; i < connect->topic_count; i++)
        free(connect->topics[i]);
    free(connect->topics);
    free(connect->ca_file);
    free(connect->cert_file);
    free(connect->key_file);
    *connect = (struct sb_connect){ 0 };
}

int sb_connect_add_topic(struct sb_connect *connect, char *topic)
{
    char **topics =
        topic ? reallocarray(connect->topics, connect->topic_count + 1, sizeof(*topics)) : NULL;
    if (!topics) {
        free(topic);
        return -ENOMEM;
    }
    connect->topics = topics;
    connect->topics[connect->topic_count++] = topic;
    return 0;
}

int sb_connect_fill(const char *setting, const char *name, char **ret, char **ret_error)
{
    bool filled = setting && strstr(setting, "{name}");
    if (filled && (!name || strchr(name, '/') || name[0] == '.')) {
        *ret_error =
            name ? sb_format("a device called '%.128s' cannot have a file of that name", name)
                 : sb_format("'%s' is the setting of a device", setting);
        return -EINVAL;
    }
    char *text = filled ? sb_words_fill(setting, "name", name, NULL) : NULL;
    if (setting && !filled)
        text = strdup(setting);
    if (setting && !text)
        return -ENOMEM;
    *ret = text;
    return 0;
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
