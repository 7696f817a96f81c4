/* SPDX-License-Identifier: Apache-2.0 */
/* What a supplied download has from its door: pulled at an offset, handed to the helper. */
#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/child.h"
#include "bridge/package/fetch_parts.h"

int sb_source_open(struct sb_fetch_source *source, const struct sb_supplier *by, uint64_t download)
{
    *source = (struct sb_fetch_source){ .by = { .pull = by->pull, .arg = by->arg },
                                        .package = strdup(by->package),
                                        .door = strdup(by->door),
                                        .download = download,
                                        .wanted = -1 };
    return source->package && source->door ? 0 : -ENOMEM;
}

void sb_source_done(struct sb_fetch_source *source)
{
    free(source->package);
    free(source->door);
    *source = (struct sb_fetch_source){ 0 };
}

bool sb_source_is(const struct sb_fetch_source *source)
{
    return source->by.pull != NULL;
}

int sb_source_pull(struct sb_fetch_source *source, int64_t offset)
{
    source->wanted = offset;
    return source->by.pull(source->by.arg, source->package,
                           &(struct sb_pull){ .download = source->download, .offset = offset });
}

void sb_source_end(struct sb_fetch_source *source)
{
    source->wanted = -1;
    (void)source->by.pull(source->by.arg, source->package,
                          &(struct sb_pull){ .download = source->download, .over = true });
}

bool sb_source_awaits(const struct sb_fetch_source *source, const struct sb_piece *piece)
{
    if (!sb_source_is(source) || source->wanted < 0 || piece->download != source->download)
        return false;
    return piece->again || piece->cause != SB_CAUSE_NONE ||
           (piece->offset == source->wanted && piece->size > 0 && piece->size <= SB_PIECE_MAX &&
            piece->total > 0 && (int64_t)piece->size <= piece->total - piece->offset);
}

/* The helper reads how many bytes come, of how large a file, and then these. */
int sb_source_hand_over(struct sb_fetch_source *source, struct sb_child *helper,
                        const struct sb_piece *piece)
{
    source->wanted = -1;
    sb_cleanup(sb_freep) char *head = sb_format("%zu %lld\n", piece->size, (long long)piece->total);
    int r = head ? sb_child_feed(helper, head, strlen(head)) : -ENOMEM;
    return r ? r : sb_child_feed(helper, piece->bytes, piece->size);
}
