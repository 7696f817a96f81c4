/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "bridge/ctl/client.h"
#include "bridge/ctl/ctl.h"
#include "bridge/ctl/signals.h"

void sb_ctl_print_json(struct sb_ctl *ctl, const json_t *value)
{
    sb_cleanup(sb_freep) char *text =
        json_dumps(value ? value : json_null(), JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fprintf(ctl->out, "%s\n", text ? text : "null");
    (void)fflush(ctl->out);
}

enum sb_exit sb_ctl_fail(struct sb_ctl *ctl, enum sb_exit code, const char *error, const char *fmt,
                         ...)
{
    struct sb_str text = { 0 };
    struct sb_str line = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    if (ctl->json) {
        sb_cleanup(json_decrefp) json_t *value =
            json_pack("{s:s,s:s}", "error", error, "text", sb_str_get(&text));
        sb_ctl_print_json(ctl, value);
    }
    (void)fflush(ctl->out);
    const char *prefix = "southbridgectl: ";
    for (const char *rest = sb_str_get(&text); *rest || *prefix != ' ';) { /* each finding a line */
        size_t n = strcspn(rest, "\n");
        sb_cleanup(sb_freep) char *one = strndup(rest, n);
        sb_str_add(&line, prefix);
        sb_text_clean(&line, one ? one : "", ctl->style.utf8);
        sb_str_add_char(&line, '\n');
        prefix = "  ";
        rest += n + (rest[n] == '\n');
    }
    (void)fputs(sb_str_get(&line), ctl->err);
    sb_str_done(&text);
    sb_str_done(&line);
    return code;
}

/* ---- one question ---- */

static enum sb_exit take_answer(struct sb_ctl *ctl, const json_t *line, json_t **ret_data)
{
    const char *error = sb_json_str(line, "error");
    const char *text = sb_json_str(line, "text");
    if (!json_is_boolean(json_object_get(line, "ok")))
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "protocol", "%s", sb_client_problem(-EBADMSG));
    if (!sb_json_bool(line, "ok", false))
        return sb_ctl_fail(ctl, sb_exit_of_refusal(error), error ? error : "failed", "%s",
                           text && *text ? text
                           : error       ? error
                                         : "the daemon refused");
    json_t *data = json_object_get(line, "data");
    *ret_data = data ? json_incref(data) : json_null();
    return SB_EXIT_DONE;
}

enum sb_exit sb_ctl_ask_on(struct sb_ctl *ctl, struct sb_client *client, const char *verb,
                           const json_t *args, json_t **ret_data)
{
    sb_cleanup(json_decrefp) json_t *line = NULL;
    int r = sb_client_send(client, verb, args);
    if (r == 0)
        r = sb_client_line(client, SB_CTL_WAIT, ctl->waiting, &line);
    while (r == -EINTR && !sb_signals_came()) /* stopped and continued */
        r = sb_client_line(client, SB_CTL_WAIT, ctl->waiting, &line);
    if (r == -EINTR)
        return SB_EXIT_INTERRUPTED;
    return r < 0 ? sb_ctl_lost(ctl, r) : take_answer(ctl, line, ret_data);
}

enum sb_exit sb_ctl_lost(struct sb_ctl *ctl, int error)
{
    bool gone = error == -ETIMEDOUT || error == -EPIPE;
    return sb_ctl_fail(ctl, gone ? SB_EXIT_UNREACHABLE : SB_EXIT_FAILED,
                       gone ? "unreachable" : "protocol", "%s", sb_client_problem(error));
}

enum sb_exit sb_ctl_open(struct sb_ctl *ctl, struct sb_client **ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_client_open(ctl->socket, ret, &error) == 0)
        return SB_EXIT_DONE;
    return sb_ctl_fail(ctl, SB_EXIT_UNREACHABLE, "unreachable", "%s",
                       error ? error : "out of memory");
}

enum sb_exit sb_ctl_ask(struct sb_ctl *ctl, const char *verb, const json_t *args, json_t **ret_data)
{
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    enum sb_exit code = sb_ctl_open(ctl, &client);
    return code != SB_EXIT_DONE ? code : sb_ctl_ask_on(ctl, client, verb, args, ret_data);
}

/* ---- the program ---- */

void sb_ctl_show(struct sb_ctl *ctl, const struct sb_order *order, const json_t *data)
{
    if (ctl->json)
        sb_ctl_print_json(ctl, data);
    else if (order->command->show)
        order->command->show(ctl, order, data);
}

static enum sb_exit run(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(json_decrefp) json_t *data = NULL;
    if (order->command->run)
        return order->command->run(ctl, order);
    enum sb_exit code = sb_ctl_ask(ctl, order->command->verb, order->args, &data);
    if (code == SB_EXIT_DONE)
        sb_ctl_show(ctl, order, data);
    return code;
}

static enum sb_exit help(struct sb_ctl *ctl, const struct sb_order *order)
{
    struct sb_str text = { 0 };
    if (order->command)
        sb_help_command(&text, order->command);
    else
        sb_help_all(&text, order->group);
    (void)fputs(sb_str_get(&text), ctl->out);
    sb_str_done(&text);
    return SB_EXIT_DONE;
}

static const char *choose_socket(const struct sb_order *order)
{
    const char *named = getenv("SOUTHBRIDGE_SOCKET");
    return order->socket ? order->socket : named && *named ? named : SB_CTL_SOCKET;
}

enum sb_exit sb_ctl_main(struct sb_ctl *ctl, int argc, char **argv)
{
    struct sb_order order;
    sb_cleanup(sb_freep) char *error = NULL;
    enum sb_exit code = SB_EXIT_DONE;
    if (sb_order_parse(argc, argv, ctl->style.now, &order, &error) < 0) {
        ctl->json = false; /* whether it is wanted could not be read */
        return sb_ctl_fail(ctl, SB_EXIT_USAGE, "usage", "%s", error ? error : "out of memory");
    }
    ctl->socket = choose_socket(&order);
    ctl->json = order.json;
    ctl->style.color = order.color < 0 ? ctl->style.color : order.color > 0;
    if (order.version)
        (void)fprintf(ctl->out, "southbridgectl %s\n", SB_VERSION);
    else
        code = order.help ? help(ctl, &order) : run(ctl, &order);
    sb_order_done(&order);
    return code;
}
