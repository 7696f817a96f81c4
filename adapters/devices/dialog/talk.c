/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/talk.h"

#include <errno.h>
#include <stdio.h>

#include "adapters/devices/dialog/template.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/port.h"

enum sb_cause sb_dialog_fail(struct sb_dialog *dialog, enum sb_cause cause, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    free(dialog->outcome->text);
    dialog->outcome->text = text.text ? sb_redact(text.text) : NULL;
    sb_str_done(&text);
    return cause;
}

enum sb_cause sb_dialog_trouble(struct sb_dialog *dialog, int error)
{
    dialog->hard = true;
    switch (error) {
    case -ECANCELED:
        return sb_dialog_fail(dialog, SB_CAUSE_OPERATOR, "stopped");
    case -ETIMEDOUT:
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST, "the line does not take what is sent");
    case -ENODEV:
    case -EIO:
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST, "the line has gone while in use");
    default:
        return sb_dialog_fail(dialog, SB_CAUSE_INTERNAL, "the gateway failed: %s",
                              strerror(-error));
    }
}

enum sb_cause sb_dialog_connect(struct sb_dialog *dialog)
{
    if (dialog->port && !dialog->port->failed)
        return SB_CAUSE_NONE;
    dialog->in_at = dialog->in_n = 0;
    sb_console_reset(&dialog->console);
    dialog->port = sb_session_port(dialog->session, dialog->outcome);
    dialog->hard = !dialog->port;
    return dialog->port ? SB_CAUSE_NONE : dialog->outcome->cause;
}

static enum sb_cause kept(struct sb_dialog *dialog, int r)
{
    if (r == -EIO) {
        dialog->hard = true;
        return sb_dialog_fail(dialog, SB_CAUSE_INTERNAL, "the gateway cannot keep its own state");
    }
    return r < 0 ? sb_dialog_trouble(dialog, r) : SB_CAUSE_NONE;
}

enum sb_cause sb_dialog_commit(struct sb_dialog *dialog)
{
    int r = dialog->committed ? 0 : sb_session_commit_point(dialog->session);
    dialog->committed = r == 0;
    return kept(dialog, r);
}

enum sb_cause sb_dialog_checkpoint(struct sb_dialog *dialog, const char *stage)
{
    const struct sb_image *image = dialog->command->image;
    json_t *checkpoint =
        json_pack("{s:s, s:s*}", "stage", stage, "sha256", image ? image->sha256 : NULL);
    int r = checkpoint ? sb_session_checkpoint(dialog->session, checkpoint) : -ENOMEM;
    json_decref(checkpoint);
    return kept(dialog, r);
}

/* ---- bytes ---- */

int sb_dialog_byte(struct sb_dialog *dialog, int64_t deadline, uint8_t *ret)
{
    if (dialog->in_at == dialog->in_n) {
        dialog->in_at = dialog->in_n = 0;
        int r = sb_port_read(dialog->port, dialog->in, sizeof(dialog->in), deadline, &dialog->in_n);
        if (r < 0)
            return r;
    }
    *ret = dialog->in[dialog->in_at++];
    return 0;
}

void sb_dialog_discard(struct sb_dialog *dialog)
{
    dialog->in_at = dialog->in_n = 0;
    if (sb_port_drain(dialog->port, 0, 5) < 0)
        return; /* shows at the next call */
}

void sb_dialog_log(struct sb_dialog *dialog, const char *mark, const char *text)
{
    sb_cleanup(sb_freep) char *shown =
        sb_redact(text); /* whole: half a secret is not known as one */
    sb_cleanup(sb_freep) char *line = shown ? sb_format("%s %.300s", mark, shown) : NULL;
    if (line)
        sb_session_line(dialog->session, line);
}

/* ---- {names} ---- */

static int load_secret(struct sb_dialog *dialog, const char *name, const char **ret,
                       char **ret_error)
{
    for (size_t i = 0; i < dialog->secret_count; i++)
        if (strcmp(dialog->secrets[i].name, name) == 0) {
            *ret = dialog->secrets[i].text;
            return 0;
        }
    const char *setting = sb_json_str(dialog->config->secrets, name);
    if (dialog->secret_count == SB_DIALOG_SECRETS || !setting)
        return sb_described_wrong(ret_error, -EINVAL, "secret '%s' is not there", name);
    sb_cleanup(sb_secret_freep) char *text = NULL;
    char *copy = strdup(name);
    int r = copy ? sb_secret_load(setting, &text, ret_error) : -ENOMEM;
    if (r < 0) {
        free(copy);
        return r;
    }
    dialog->secrets[dialog->secret_count].name = copy;
    *ret = dialog->secrets[dialog->secret_count++].text = SB_STEAL(text);
    return 0;
}

struct filling {
    struct sb_dialog *dialog;
    bool to_send;
};

/* What the image is called, without looking at its bytes. NULL: not such a name. */
static const char *image_text(struct sb_dialog *dialog, const char *name, char size[24])
{
    const struct sb_image *image = dialog->command->image;
    if (!image || strncmp(name, "image.", 6) != 0)
        return NULL;
    name += 6;
    if (strcmp(name, "sha256") == 0)
        return image->sha256;
    if (strcmp(name, "version") == 0)
        return image->version;
    if (strcmp(name, "name") == 0)
        return image->name ? image->name : "image";
    if (strcmp(name, "size") == 0 || strcmp(name, "size_hex") == 0) {
        (void)snprintf(size, 24, name[4] ? "%llx" : "%lld", (long long)image->size);
        return size;
    }
    if (sb_dialog_image_sums(dialog) < 0)
        return NULL;
    return strcmp(name, "crc32") == 0 ? dialog->crc32 : dialog->md5;
}

static const char *known_text(struct sb_dialog *dialog, const char *name, char size[24])
{
    if (strcmp(name, "key") == 0)
        return dialog->property ? dialog->property->key : NULL;
    if (strcmp(name, "value") == 0 && dialog->value)
        return dialog->value;
    if (strncmp(name, "args.", 5) == 0)
        return sb_json_str(dialog->args, name + 5);
    const char *text = image_text(dialog, name, size);
    return text ? text : sb_json_str(dialog->texts, name);
}

/* Values and arguments were checked by their own descriptions. */
static bool checked_before(const char *name)
{
    return strcmp(name, "key") == 0 || strcmp(name, "value") == 0 || strncmp(name, "args.", 5) == 0;
}

static int look_up(void *arg, const char *name, struct sb_str *out, char **ret_error)
{
    struct filling *filling = arg;
    char size[24];
    const char *text = NULL;
    int r = 0;
    if (strncmp(name, "secret.", 7) == 0) {
        if (filling->to_send)
            r = load_secret(filling->dialog, name + 7, &text, ret_error);
        else
            text = "***";
    } else {
        text = known_text(filling->dialog, name, size);
        if (!text)
            return sb_described_wrong(ret_error, -ENOENT, "'{%s}' is not known here", name);
        const struct sb_dialog_property *property = filling->dialog->property;
        if (filling->to_send && !checked_before(name))
            r = sb_dialog_text_check(text, NULL, ret_error);
        if (!filling->to_send && property && property->secret && strcmp(name, "value") == 0)
            text = "***";
    }
    if (r == 0)
        sb_str_add(out, text);
    return r;
}

enum sb_cause sb_dialog_fill(struct sb_dialog *dialog, const char *text, bool to_send, char **ret)
{
    struct filling filling = { dialog, to_send };
    struct sb_str out = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_template_fill(text, look_up, &filling, &out, &error);
    if (r == 0) {
        *ret = sb_str_take(&out);
        return *ret ? SB_CAUSE_NONE : sb_dialog_trouble(dialog, -ENOMEM);
    }
    sb_str_done(&out);
    if (r == -ENOMEM)
        return sb_dialog_trouble(dialog, r);
    dialog->hard = true;
    return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "not possible");
}

enum sb_cause sb_dialog_set(struct sb_dialog *dialog, const char *name, const char *text)
{
    return json_object_set_new(dialog->texts, name, json_string(text)) < 0
               ? sb_dialog_trouble(dialog, -ENOMEM)
               : SB_CAUSE_NONE;
}

void sb_dialog_forget(struct sb_dialog *dialog)
{
    json_t *const trees[] = { dialog->texts,    dialog->captured, dialog->properties,
                              dialog->identity, dialog->versions, dialog->args };
    for (size_t i = 0; i < SB_COUNT(trees); i++)
        json_decref(trees[i]);
    for (size_t i = 0; i < dialog->secret_count; i++) {
        free(dialog->secrets[i].name);
        sb_secret_free(dialog->secrets[i].text);
    }
    free(dialog->crc32);
    free(dialog->md5);
    sb_dialog_scripts_free(dialog->scripts);
}
