/* SPDX-License-Identifier: MIT */

#include "process/preparation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

DEFINE_CLEANUP(json_t, json_decref);

void texts_free(char **texts)
{
        for (char **t = texts; t && *t; t++)
                free(*t);
        free(texts);
}

DEFINE_CLEANUP(char *, texts_free);

char **texts_copy(char *const *texts)
{
        AUTO(texts_free) char **copy = NULL;
        size_t n = 0;

        if (!texts)
                return NULL;
        while (texts[n])
                n++;
        copy = calloc(n + 1, sizeof(*copy));
        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = strdup(texts[i]);
                if (!copy[i])
                        return NULL;
        }
        return MOVE_PTR(copy);
}

void preparation_init(Preparation *p)
{
#define INIT_NUMBER(name) p->name = PREPARATION_UNSET;
#define INIT_TEXT(name) p->name = NULL;
#define INIT_TEXTS(name) p->name = NULL;
#define INIT_OBJECT(name) p->name = NULL;
#define INIT(type, name) INIT_##type(name)
        PREPARATION_PARTS(INIT)
}

void preparation_fini(Preparation *p)
{
#define FINI_NUMBER(name)
#define FINI_TEXT(name) free(p->name);
#define FINI_TEXTS(name) texts_free(p->name);
#define FINI_OBJECT(name) json_decref(p->name);
#define FINI(type, name) FINI_##type(name)
        PREPARATION_PARTS(FINI)
        preparation_init(p);
}

/* What is not set is null; NULL: it cannot be said in JSON (not UTF-8), or memory ran out. */
static json_t *write_NUMBER(uint64_t n)
{
        return n == PREPARATION_UNSET ? json_null() : json_integer((json_int_t)n);
}

static json_t *write_TEXT(const char *text)
{
        return text ? json_string(text) : json_null();
}

static json_t *write_TEXTS(char *const *texts)
{
        json_t *array = texts ? json_array() : json_null();

        for (; texts && *texts; texts++)
                if (json_array_append_new(array, json_string(*texts)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static json_t *write_OBJECT(json_t *object)
{
        return object ? json_incref(object) : json_null();
}

int preparation_write(const Preparation *p)
{
        AUTO(json_decref) json_t *all = json_object();
        AUTO(free) char *text = NULL;

#define WRITE(type, name)                                                                          \
        {                                                                                          \
                json_t *part = write_##type(p->name);                                              \
                if (!part)                                                                         \
                        return -EINVAL;                                                            \
                if (!json_is_null(part) && json_object_set_new(all, #name, part) < 0)              \
                        return -ENOMEM;                                                            \
        }
        PREPARATION_PARTS(WRITE)
        text = json_dumps(all, JSON_COMPACT);
        return text ? fd_from_bytes("brood-preparation", text, strlen(text)) : -ENOMEM;
}

static int read_NUMBER(uint64_t *to, const json_t *from)
{
        if (!json_is_integer(from))
                return -EBADMSG;
        *to = (uint64_t)json_integer_value(from);
        return 0;
}

static int read_TEXT(char **to, const json_t *from)
{
        if (!json_is_string(from))
                return -EBADMSG;
        *to = strdup(json_string_value(from));
        return *to ? 0 : -ENOMEM;
}

static int read_TEXTS(char ***to, const json_t *from)
{
        AUTO(texts_free) char **texts = calloc(json_array_size(from) + 1, sizeof(*texts));

        if (!json_is_array(from))
                return -EBADMSG;
        if (!texts)
                return -ENOMEM;
        for (size_t i = 0; i < json_array_size(from); i++) {
                int r = read_TEXT(&texts[i], json_array_get(from, i));

                if (r < 0)
                        return r;
        }
        *to = MOVE_PTR(texts);
        return 0;
}

static int read_OBJECT(json_t **to, json_t *from)
{
        if (!json_is_object(from))
                return -EBADMSG;
        *to = json_incref(from);
        return 0;
}

int preparation_read(Preparation *p, int fd)
{
        AUTO(json_decref) json_t *all = NULL;
        AUTO(free) char *text = NULL;
        struct stat st;
        json_t *part;
        ssize_t n;
        int r;

        preparation_init(p);
        if (fstat(fd, &st) < 0)
                return -errno;
        text = malloc((size_t)st.st_size + 1);
        if (!text)
                return -ENOMEM;
        n = pread(fd, text, (size_t)st.st_size, 0);
        if (n != st.st_size)
                return n < 0 ? -errno : -EBADMSG;
        all = json_loadb(text, (size_t)n, 0, NULL);
        if (!json_is_object(all))
                return -EBADMSG;
#define READ(type, name)                                                                           \
        part = json_object_get(all, #name);                                                        \
        r = part ? read_##type(&p->name, part) : 0;                                                \
        if (r < 0) {                                                                               \
                preparation_fini(p);                                                               \
                return r;                                                                          \
        }
        PREPARATION_PARTS(READ)
        return 0;
}
