/* SPDX-License-Identifier: MIT */

/* shared FILE: how often each letter is in a file. Four processes count a quarter each, and add
 * what they have found to one array, which all of them see. */

#include <brood/process.h>
#include <brood/shared.h>
#include <ctype.h>
#include <stdio.h>

enum { PROCESSES = 4, LETTERS = 26 };

static char text[1 << 20]; /* a child has a copy of it as it is at the fork */
static size_t size;
static BroodValue *histogram;

static int count(BroodChild *child)
{
        size_t part = (size_t)json_integer_value(json_object_get(child->args, "part"));
        long found[LETTERS] = { 0 };

        for (size_t i = part * size / PROCESSES; i < (part + 1) * size / PROCESSES; i++)
                if (isascii(text[i]) && isalpha(text[i]))
                        found[tolower(text[i]) - 'a']++;
        if (brood_value_lock(histogram, -1) < 0)
                return 1;
        for (size_t i = 0; i < LETTERS; i++)
                *(long *)brood_value_at(histogram, i) += found[i];
        return brood_value_unlock(histogram) ? 1 : 0;
}

int main(int argc, char **argv)
{
        BroodProcess *children[PROCESSES];
        FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;

        if (!file || brood_value_new(&histogram, sizeof(long), LETTERS) < 0)
                return 1;
        size = fread(text, 1, sizeof(text), file);
        for (int i = 0; i < PROCESSES; i++)
                if (brood_process_start(&children[i], &(BroodProcessSpec){ .method = BROOD_FORK,
                                .function = count, .args = json_pack("{si}", "part", i) }) < 0)
                        return 1;
        for (int i = 0; i < PROCESSES; i++)
                brood_process_free(children[i]);
        for (size_t i = 0; i < LETTERS; i++)
                printf("%c %ld\n", (char)('a' + i), *(long *)brood_value_at(histogram, i));
        return fclose(file);
}
