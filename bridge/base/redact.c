/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/redact.h"

#include <ctype.h>
#include <pthread.h>

#include "bridge/base/log.h"

#define HIDDEN     "***"
#define ELLIPSIS   "..."
#define SECRET_MIN 4 /* shorter ones would blank out half of every entry */

struct secret {
    char *text;
    size_t n;
    unsigned users; /* two settings may hold the same text */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret *secrets;
static size_t secret_count;
static bool blind; /* a secret found no memory: show nothing at all rather than it */

/* With the lock. */
static struct secret *find(const char *text)
{
    for (size_t i = 0; i < secret_count; i++)
        if (strcmp(secrets[i].text, text) == 0)
            return &secrets[i];
    return NULL;
}

static void add(const char *text)
{
    struct secret *known = find(text);
    if (known) {
        known->users++;
        return;
    }
    struct secret *list = reallocarray(secrets, secret_count + 1, sizeof(*list));
    if (list)
        secrets = list;
    char *copy = list ? strdup(text) : NULL;
    if (copy)
        secrets[secret_count++] = (struct secret){ copy, strlen(copy), 1 };
    else
        blind = true;
}

void sb_log_secret(const char *text)
{
    if (!text || strlen(text) < SECRET_MIN)
        return;
    (void)pthread_mutex_lock(&lock);
    add(text);
    (void)pthread_mutex_unlock(&lock);
}

void sb_log_forget(const char *text)
{
    if (!text)
        return;
    (void)pthread_mutex_lock(&lock);
    struct secret *known = find(text);
    if (known && --known->users == 0) {
        explicit_bzero(known->text, known->n);
        free(known->text);
        *known = secrets[--secret_count];
        if (secret_count == 0) {
            free(secrets);
            secrets = NULL;
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

/* hide[i] is set for each byte i of the text that must not be shown. */
static void hide_secrets(const char *text, size_t n, bool *hide)
{
    (void)pthread_mutex_lock(&lock);
    if (blind)
        memset(hide, true, n);
    for (size_t i = 0; i < secret_count; i++) {
        const char *at = text;
        while ((at = memmem(at, n - (size_t)(at - text), secrets[i].text, secrets[i].n))) {
            memset(hide + (at - text), true, secrets[i].n);
            at++; /* occurrences may overlap */
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

static bool ends_word(char c)
{
    return (unsigned char)c <= ' ' || c == '"' || c == '<' || c == '>' || c == 0x7f;
}

/* user:password of every authority in the word: what stands between "//" and the last '@'. */
static void hide_userinfo(const char *word, size_t n, bool *hide)
{
    for (size_t i = 0; i + 2 < n; i++) {
        if (word[i] != '/' || word[i + 1] != '/')
            continue;
        size_t from = i + 2, at = 0;
        for (size_t j = from; j < n && !strchr("/?#", word[j]); j++)
            if (word[j] == '@')
                at = j;
        if (at > from)
            memset(hide + from, true, at - from);
    }
}

/* Whether the '/' at i begins a URI's path: at the word's start, or after "scheme:/" or "key=". */
static bool begins_path(const char *word, size_t i)
{
    return i == 0 || strchr("='`([{,:", word[i - 1]);
}

/* The query and fragment of a URI, to the word's end but for punctuation of the sentence. */
static void hide_query(const char *word, size_t n, bool *hide)
{
    bool uri = false;
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '/' && begins_path(word, i))
            uri = true;
        if (!uri || word[i] != '?')
            continue;
        while (n > i + 1 && strchr(",.;:')]}`", word[n - 1]))
            n--;
        memset(hide + i + 1, true, n - i - 1);
        return;
    }
}

static void hide_uris(const char *text, size_t n, bool *hide)
{
    for (size_t from = 0; from < n;) {
        size_t to = from;
        while (to < n && !ends_word(text[to]))
            to++;
        hide_userinfo(text + from, to - from, hide + from);
        hide_query(text + from, to - from, hide + from);
        from = to + 1;
    }
}

/* The length of the UTF-8 sequence at p, its code point in *ret; 0: not UTF-8 (RFC 3629). */
static size_t decode(const unsigned char *p, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80             ? 1
               : (p[0] & 0xe0) == 0xc0 ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    uint32_t code = n == 1 ? p[0] : n > 1 ? p[0] & (0x7fu >> n) : 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) /* also stops at the NUL */
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (n == 0 || code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret = code;
    return n;
}

/* Controls, and what reorders or breaks a line on a terminal (bidirectional marks, separators). */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void show_control(struct sb_str *out, uint32_t c)
{
    if (c == '\n' || c == '\t' || c == '\r')
        sb_str_add(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
    else
        sb_str_format(out, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
}

/* Appends the character at p as it may be shown, and returns its length in the text. */
static size_t show(struct sb_str *out, const char *p, bool quoted)
{
    uint32_t code;
    size_t n = decode((const unsigned char *)p, &code);
    if (n == 0) {
        sb_str_format(out, "\\x%02x", (unsigned)(unsigned char)*p);
        return 1;
    }
    if (is_control(code)) {
        show_control(out, code);
        return n;
    }
    if (quoted && (*p == '"' || *p == '\\'))
        sb_str_add_char(out, '\\');
    sb_str_add_bytes(out, p, n);
    return n;
}

static void render(struct sb_str *out, const char *text, size_t n, const bool *hide, bool quoted,
                   size_t max)
{
    size_t start = out->length;
    size_t fits = start; /* the longest prefix that leaves room for the ellipsis */
    for (size_t i = 0; i < n && !out->broken;) {
        if (hide[i]) {
            while (i < n && hide[i])
                i++;
            sb_str_add(out, HIDDEN);
        } else {
            i += show(out, text + i, quoted);
        }
        if (out->length - start <= max - strlen(ELLIPSIS))
            fits = out->length;
        if (out->length - start > max) {
            out->length = fits;
            sb_str_add(out, ELLIPSIS);
            return;
        }
    }
}

void sb_redact_to(struct sb_str *out, const char *text, bool quoted, size_t max)
{
    size_t n = strlen(text);
    sb_cleanup(sb_freep) bool *hide = calloc(n + 1, sizeof(*hide));
    if (!hide) {
        out->broken = true;
        return;
    }
    hide_secrets(text, n, hide);
    hide_uris(text, n, hide);
    render(out, text, n, hide, quoted, SB_MAX(max, strlen(ELLIPSIS)));
}

char *sb_redact(const char *text)
{
    struct sb_str out = { 0 };
    sb_redact_to(&out, text ? text : "", false, SB_REDACT_MAX);
    return sb_str_take(&out);
}
