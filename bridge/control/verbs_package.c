/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/str.h"
#include "bridge/package/uri.h"

static struct sb_package *find(struct sb_call *call)
{
    const char *id = sb_json_str(call->args, "id");
    struct sb_package *package = id ? sb_packages_get(call->core->packages, id) : NULL;
    if (!package)
        sb_call_refuse(
            call, SB_REFUSAL_NOT_FOUND,
            "there is no package '%s' (`southbridgectl package list` shows those there are)",
            id ? id : "");
    return package;
}

int sb_verb_package_list(struct sb_call *call)
{
    const struct sb_package *package;
    call->data = json_array();
    for (size_t i = 0; (package = sb_packages_at(call->core->packages, i)); i++)
        (void)json_array_append_new(call->data, sb_package_json(package));
    return 0;
}

int sb_verb_package_show(struct sb_call *call)
{
    const struct sb_package *package = find(call);
    if (!package)
        return -1;
    call->data = sb_package_json(package);
    return 0;
}

/* A local file is a package whose URI is file://: the helper copies and checks it like any. */
int sb_verb_package_add(struct sb_call *call)
{
    const char *file = sb_json_str(call->args, "file");
    sb_cleanup(json_decrefp) json_t *spec = json_copy((json_t *)call->args);
    struct sb_package *package = NULL;
    if ((file == NULL) == (sb_json_str(call->args, "uri") == NULL))
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "package add: give either a file or a URI");
    if (file && file[0] != '/')
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "package add: '%s' is not an absolute path",
                              file);
    if (file) {
        sb_cleanup(sb_freep) char *uri = sb_uri_of_path(file);
        if (!uri || sb_json_put_str(spec, "uri", uri) < 0)
            return -1;
        (void)json_object_del(spec, "file");
    }
    sb_cleanup(sb_freep) char *misfit = sb_package_fits_wrong(json_object_get(spec, "fits"));
    if (misfit)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "package add: %s", misfit);
    struct sb_uri parts = { 0 };
    sb_cleanup(sb_freep) char *wrong = NULL;
    int r = sb_uri_parse(sb_json_str(spec, "uri"), &parts, &wrong);
    sb_uri_done(&parts);
    if (r >= 0)
        r = sb_packages_resolve(call->core->packages, spec, sb_loop_wall(call->core->parts.loop),
                                &package);
    if (r == -EINVAL && !wrong)
        wrong = sb_package_spec_wrong(spec);
    if (r == -EINVAL)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "package add: %s",
                              wrong ? wrong : "not usable");
    if (r < 0 || !package)
        return sb_call_failed(call, r, "package add");
    sb_cleanup(sb_freep) char *subject = sb_format("package %s", package->id);
    sb_cleanup(json_decrefp) json_t *detail = sb_package_json(package);
    r = sb_audit_add(call->core->audit, call->actor, "package add", subject ? subject : "package",
                     sb_loop_wall(call->core->parts.loop), detail);
    call->data = sb_package_json(package);
    return r < 0 ? sb_call_failed(call, r, "package add") : 0;
}

/* An open job may need it long before its image is fetched and pinned. */
static int check_needed(struct sb_call *call, const char *id)
{
    const struct sb_core *core = call->core;
    const struct sb_job *job;
    const struct sb_device *device;
    for (size_t i = 0; (job = sb_book_job_at(core->book, i)); i++)
        if (job->state != SB_JOB_DONE && sb_streq(job->package, id))
            return sb_call_refuse(call, SB_REFUSAL_REFUSED,
                                  "package remove: job %lld, which is open, needs it",
                                  (long long)job->id);
    for (size_t i = 0; (device = sb_registry_at(core->registry, i)); i++)
        if (sb_streq(device->staged.package, id))
            return sb_call_refuse(
                call, SB_REFUSAL_REFUSED,
                "package remove: device '%s' needs it: it is staged for an install", device->id);
    return 0;
}

int sb_verb_package_remove(struct sb_call *call)
{
    const struct sb_package *package = find(call);
    if (!package)
        return -1;
    sb_cleanup(sb_freep) char *subject = sb_format("package %s", package->id);
    if (check_needed(call, package->id) < 0)
        return -1;
    int r = sb_packages_remove(call->core->packages, package->id);
    if (r == -EBUSY)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "package remove: its image is in use");
    if (r >= 0)
        r = sb_audit_add(call->core->audit, call->actor, "package remove",
                         subject ? subject : "package", sb_loop_wall(call->core->parts.loop), NULL);
    return r < 0 ? sb_call_failed(call, r, "package remove") : 0;
}
