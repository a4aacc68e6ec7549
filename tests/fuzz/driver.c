/* SPDX-License-Identifier: MIT */

/* A main() for a libFuzzer target where there is no libFuzzer: fuzz-NAME CORPUS_DIR RUNS SEED.
 *
 * Every file of the corpus is tried as it is, then RUNS mutations of them, the same ones for the
 * same seed. What makes the target abort is left in the file fuzz-NAME.crash. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST_INPUT = 1 << 16, MOST_MUTATIONS = 6 };

typedef struct Corpus {
        Buffer *inputs;
        size_t n;
} Corpus;

/* What is being tried, for the handler of SIGABRT. */
static struct {
        const char *data;
        size_t size;
        char crash_file[256];
} current;

static void on_abort(int signal)
{
        int fd = open(current.crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        if (fd >= 0)
                (void)fd_write_all(fd, current.data, current.size); /* it is the end either way */
        (void)fd_write_all(STDERR_FILENO, current.crash_file, strlen(current.crash_file));
        (void)fd_write_all(STDERR_FILENO, " holds the input\n", 17);
        _exit(128 + signal);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n)
{
        return n ? (size_t)(next_random(state) % n) : 0;
}

/* In a block of just its size, so that a sanitizer sees every byte too far. */
static void try_one(Slice input)
{
        char *copy = malloc(input.len ? input.len : 1);

        ASSERT(copy);
        if (input.len)
                memcpy(copy, input.data, input.len);
        current.data = copy;
        current.size = input.len;
        (void)LLVMFuzzerTestOneInput((const uint8_t *)copy, input.len);
        current.size = 0;
        free(copy);
}

/* Replaces the bytes [at, at + n) by others. */
static void replace(Buffer *b, size_t at, size_t n, Slice by)
{
        Slice old = buffer_slice(b);
        Buffer made = BUFFER_INIT;

        buffer_append(&made, old.data, at);
        buffer_append_slice(&made, by);
        if (old.len > at + n)
                buffer_append(&made, old.data + at + n, old.len - at - n);
        ASSERT(!made.failed);
        buffer_fini(b);
        *b = made;
}

/* A run of bytes of any of the inputs. */
static Slice piece(const Corpus *c, uint64_t *state)
{
        Slice from = buffer_slice(&c->inputs[below(state, c->n)]);
        size_t at = below(state, from.len), most = MIN(from.len - at, 64u);

        return (Slice){ from.data ? from.data + at : "", below(state, most + 1) };
}

static void mutate(Buffer *b, const Corpus *c, uint64_t *state)
{
        static const char *const tokens[] = {
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                "\"",
                "\\",
                "\\u0000",
                "\\ud83d",
                "\\ude00",
                "\\u0041",
                "null",
                "true",
                "false",
                "-",
                "0",
                "1e999",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775808",
                "1.5",
                "\xc3\xa9",
                "\xed\xa0\x80",
                "\xf4\x8f\xbf\xbf",
                "\xf4\x90\x80\x80",
                " ",
                "\n",
                "#",
                "?",
                "(",
                ")",
                "->",
                "\"a\":",
                "{\"a\":",
                "[string]",
                "[]",
        };
        size_t len = buffer_len(b), at = below(state, len + 1);
        size_t n = below(state, 1u << below(state, 8));
        char byte = (char)next_random(state);

        n = MIN(n, len - at);
        switch (below(state, 6)) {
        case 0:
                replace(b, at, 0, slice_of(tokens[below(state, ELEMENTS(tokens))]));
                break;
        case 1:
                replace(b, at, n, slice_of(tokens[below(state, ELEMENTS(tokens))]));
                break;
        case 2:
                replace(b, at, n, (Slice){ "", 0 });
                break;
        case 3:
                replace(b, at, MIN(1u, len - at), (Slice){ &byte, 1 });
                break;
        case 4:
                replace(b, at, n, piece(c, state));
                break;
        default:
                replace(b, at, 0, piece(c, state));
        }
}

static void run(const Corpus *c, uint64_t runs, uint64_t seed)
{
        for (size_t i = 0; i < c->n; i++)
                try_one(buffer_slice(&c->inputs[i]));
        for (uint64_t i = 0; i < runs; i++) {
                uint64_t state = seed ^ (i + 1) * 0x2545f4914f6cdd1du;
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                size_t mutations;

                (void)next_random(&state);
                mutations = 1 + below(&state, MOST_MUTATIONS);
                buffer_append_slice(&b, buffer_slice(&c->inputs[below(&state, c->n)]));
                for (size_t k = 0; k < mutations; k++)
                        mutate(&b, c, &state);
                try_one(buffer_slice(&b));
        }
}

static int load(Corpus *c, const char *directory, const char *name)
{
        char path[4096];
        Buffer *grown = realloc(c->inputs, (c->n + 1) * sizeof(*grown));
        char *to;
        ssize_t n;
        int fd;

        ASSERT(grown);
        c->inputs = grown;
        c->inputs[c->n] = (Buffer)BUFFER_INIT;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        to = buffer_reserve(&c->inputs[c->n], LARGEST_INPUT);
        ASSERT(to);
        n = fd >= 0 ? fd_read_all(fd, to, LARGEST_INPUT) : -1;
        (void)fd_close(fd);
        if (n < 0)
                return -1;
        c->inputs[c->n++].end = (size_t)n;
        return 0;
}

static int load_all(Corpus *c, const char *directory)
{
        struct dirent **entries;
        int n = scandir(directory, &entries, NULL, alphasort), r = n < 0 ? -1 : 0;

        for (int i = 0; i < n; i++) {
                if (r == 0 && entries[i]->d_name[0] != '.')
                        r = load(c, directory, entries[i]->d_name);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return c->n ? r : -1;
}

int main(int argc, char **argv)
{
        Corpus c = { 0 };
        uint64_t runs, seed;

        if (argc != 4 || parse_u64(argv[2], &runs) < 0 || parse_u64(argv[3], &seed) < 0) {
                fprintf(stderr, "usage: %s CORPUS_DIR RUNS SEED\n", argv[0]);
                return 2;
        }
        if (load_all(&c, argv[1]) < 0) {
                fprintf(stderr, "%s: cannot be read, or is empty\n", argv[1]);
                return 2;
        }
        (void)snprintf(current.crash_file, sizeof(current.crash_file), "%s.crash",
                       program_invocation_short_name);
        (void)signal(SIGABRT, on_abort);
        run(&c, runs, seed);
        printf("%zu inputs and %" PRIu64 " mutations, seed %" PRIu64 "\n", c.n, runs, seed);
        for (size_t i = 0; i < c.n; i++)
                buffer_fini(&c.inputs[i]);
        free(c.inputs);
        return 0;
}
