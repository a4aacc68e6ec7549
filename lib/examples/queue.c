/* SPDX-License-Identifier: MIT */

/* queue: two processes put the numbers from 1 to 1000, three get them and add up what they get. */

#include <brood/process.h>
#include <brood/queue.h>
#include <stdio.h>

static BroodQueue *numbers, *sums; /* a child by fork has them, too */

static int produce(BroodChild *child)
{
        for (int i = 1; i <= 1000; i++)
                if (brood_queue_put(numbers, &i, sizeof(i), -1) < 0)
                        return 1;
        return 0;
}

static int consume(BroodChild *child)
{
        long sum = 0;
        int i;

        while (brood_queue_get_into(numbers, &i, sizeof(i), NULL, -1) == 0)
                sum += i; /* until it is closed, and empty */
        return brood_queue_put(sums, &sum, sizeof(sum), -1) == 0 ? 0 : 1;
}

int main(void)
{
        BroodProcess *children[5];
        long sum, total = 0;

        if (brood_queue_new(&numbers, 10, 0) < 0 || brood_queue_new(&sums, 0, 0) < 0)
                return 1;
        for (int i = 0; i < 5; i++)
                if (brood_process_start(&children[i], &(BroodProcessSpec){ .method = BROOD_FORK,
                                        .function = i < 2 ? produce : consume }) < 0)
                        return 1;
        for (int i = 0; i < 2; i++)
                brood_process_join(children[i], -1);
        brood_queue_close(numbers); /* all have been put; the consumers take what is left */
        for (int i = 0; i < 3; i++)
                if (brood_queue_get_into(sums, &sum, sizeof(sum), NULL, -1) == 0)
                        total += sum;
        printf("2 producers, 3 consumers, sum %ld\n", total);
        for (int i = 0; i < 5; i++)
                brood_process_free(children[i]);
        return 0;
}
