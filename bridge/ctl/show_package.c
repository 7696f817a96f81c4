/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/time.h"
#include "bridge/ctl/show.h"

static char *size_of(const json_t *package)
{
    int64_t size = sb_json_int(package, "size", -1);
    return size >= 0 ? sb_size_text(size) : strdup("-");
}

SB_SHOW(packages)
{
    static const struct sb_grid_column columns[] = {
        { "PACKAGE", false, 0 }, { "NAME", false, 6 }, { "VERSION", false, 6 },
        { "MODULE", false, 4 },  { "SIZE", true, 0 },  { "FETCHED", false, 0 },
        { "USED", false, 0 },    { "FROM", false, 4 }, { "URI", false, 8 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *package;
    (void)order;
    json_array_foreach ((json_t *)data, i, package) {
        const char *door = sb_json_str(package, "door");
        sb_grid_add(grid, SB_INK_BOLD, sb_json_str(package, "id"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(package, "name"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(package, "version"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(package, "module"));
        sb_grid_take(grid, SB_INK_PLAIN, size_of(package));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(package, "artifact") ? "yes" : "no");
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, sb_json_int(package, "used", 0)));
        sb_grid_add(grid, SB_INK_PLAIN, door ? door : "operator");
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(package, "uri"));
    }
    sb_show_list(ctl, grid, "no packages");
}

SB_SHOW(package)
{
    const char *door = sb_json_str(data, "door");
    (void)order;
    sb_show_field(ctl, "Package", SB_INK_BOLD, sb_json_str(data, "id"));
    sb_show_field(ctl, "Name", SB_INK_PLAIN, sb_json_str(data, "name"));
    sb_show_field(ctl, "Version", SB_INK_PLAIN, sb_json_str(data, "version"));
    sb_show_field(ctl, "Module", SB_INK_PLAIN, sb_json_str(data, "module"));
    sb_show_field_take(ctl, "Size", size_of(data));
    sb_show_field(ctl, "From", SB_INK_PLAIN, door ? door : "operator");
    sb_show_field(ctl, "URI", SB_INK_PLAIN, sb_json_str(data, "uri"));
    sb_show_field(ctl, "Wanted sha256", SB_INK_PLAIN, sb_json_str(data, "sha256"));
    sb_show_field(ctl, "Wanted md5", SB_INK_PLAIN, sb_json_str(data, "md5"));
    sb_show_field(ctl, "Fetched", SB_INK_PLAIN,
                  sb_json_str(data, "artifact") ? sb_json_str(data, "artifact") : "not yet");
    sb_show_json(ctl, "Fits", sb_json_object(data, "fits"));
    sb_show_time(ctl, "Created", sb_json_int(data, "created", 0));
    sb_show_time(ctl, "Used", sb_json_int(data, "used", 0));
}

SB_SHOW(package_added)
{
    (void)order;
    sb_show_line(ctl, "package %s",
                 sb_json_str(data, "id") ? sb_json_str(data, "id") : "is known now");
}

SB_SHOW(package_removed)
{
    (void)data;
    sb_show_line(ctl, "package %s is forgotten", sb_json_str(order->args, "id"));
}
