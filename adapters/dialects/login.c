/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/login.h"

#include <errno.h>
#include <stdarg.h>

#include "adapters/transports/mqtt_address.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

/* ---- settings ---- */

static const struct {
    const char *text;
    bool secure;
} schemes[] = {
    { "mqtt://", false }, { "mqtts://", true }, { "ws://", false }, { "wss://", true }
};

/* Its place in the table; SB_COUNT(schemes): none of them. */
static size_t scheme_of(const char *uri)
{
    size_t i = 0;
    while (i < SB_COUNT(schemes) &&
           (!uri || strncmp(uri, schemes[i].text, strlen(schemes[i].text)) != 0))
        i++;
    return i;
}

const char *sb_link_host(const struct sb_link_settings *link)
{
    size_t scheme = scheme_of(link->uri);
    return scheme < SB_COUNT(schemes) ? link->uri + strlen(schemes[scheme].text) : NULL;
}

bool sb_link_is_secure(const struct sb_link_settings *link)
{
    size_t scheme = scheme_of(link->uri);
    return scheme < SB_COUNT(schemes) && schemes[scheme].secure;
}

const struct sb_yaml *sb_link_place(const struct sb_yaml *yaml, const char *key)
{
    const struct sb_yaml *node = sb_yaml_get(yaml, key);
    return node ? node : yaml;
}

void sb_link_check(const struct sb_link_settings *link, const struct sb_yaml *yaml,
                   struct sb_diags *diags)
{
    struct sb_mqtt_address address = { 0 };
    sb_cleanup(sb_freep) char *wrong =
        sb_link_host(link) ? sb_mqtt_address_read(link->uri, &address) : NULL;
    sb_mqtt_address_done(&address);
    if (link->uri && !sb_link_host(link))
        sb_schema_find(diags, sb_link_place(yaml, "uri"),
                       "uri must begin with mqtt://, mqtts://, ws:// or wss://");
    else if (wrong)
        sb_schema_find(diags, sb_link_place(yaml, "uri"), "%s", wrong);
    if (!link->cert_file != !link->key_file)
        sb_schema_find(diags, sb_link_place(yaml, link->cert_file ? "cert_file" : "key_file"),
                       "cert_file and key_file go together");
}

/* ---- login data ---- */

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

int sb_connect_take(struct sb_connect *connect, const struct sb_link_settings *link,
                    const char *name, char **ret_error)
{
    connect->keepalive = (int)(link->keepalive / SB_SECOND);
    connect->verify = link->verify;
    int r = sb_set_string(&connect->uri, link->uri);
    r = r ? r : sb_set_string(&connect->ca_file, link->ca_file);
    r = r ? r : sb_connect_fill(link->cert_file, name, &connect->cert_file, ret_error);
    return r ? r : sb_connect_fill(link->key_file, name, &connect->key_file, ret_error);
}

int sb_connect_call(struct sb_connect *connect, const struct sb_words *words,
                    const char *const *filters, ...)
{
    va_list values;
    va_start(values, filters);
    connect->client_id = sb_words_vfill(sb_words_name(words, "client"), values);
    connect->user = sb_words_vfill(sb_words_name(words, "user"), values);
    int r = connect->client_id && connect->user ? 0 : -ENOMEM;
    for (; r == 0 && *filters; filters++)
        r = sb_connect_add_topic(connect, sb_words_vfill(sb_words_name(words, *filters), values));
    va_end(values);
    return r;
}
