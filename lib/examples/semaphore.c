/* SPDX-License-Identifier: MIT */

/* semaphore: a process is killed while it holds a lock, half-way through what the lock protects.
 * Nobody waits for ever: the next owner gets the lock, is told, and puts things right. */

#include <brood/process.h>
#include <brood/semaphore.h>
#include <brood/shared.h>
#include <signal.h>
#include <stdio.h>

typedef struct Accounts {
        BroodSemaphore *lock;
        int *balance; /* of two accounts, in shared memory; they add up to 100 */
} Accounts;

static int transfer(BroodChild *child)
{
        const Accounts *a = child->context;

        brood_semaphore_acquire(a->lock, -1);
        a->balance[0] -= 30;
        raise(SIGKILL); /* before the other half */
        a->balance[1] += 30;
        return brood_semaphore_release(a->lock);
}

int main(void)
{
        BroodShared *memory;
        BroodProcess *child;
        Accounts a;

        if (brood_lock_new(&a.lock) < 0 || brood_shared_new(&memory, 2 * sizeof(int)) < 0)
                return 1;
        a.balance = brood_shared_data(memory);
        a.balance[0] = 100;
        if (brood_process_start(&child, &(BroodProcessSpec){ .method = BROOD_FORK,
                                        .function = transfer, .context = &a }) < 0)
                return 1;
        printf("exit code %d\n", brood_process_free(child));
        if (brood_semaphore_acquire(a.lock, -1) == BROOD_OWNER_DIED) {
                printf("its owner died: %d + %d\n", a.balance[0], a.balance[1]);
                a.balance[1] = 100 - a.balance[0];
        }
        printf("put right: %d + %d\n", a.balance[0], a.balance[1]);
        brood_semaphore_release(a.lock);
        brood_semaphore_free(a.lock);
        brood_shared_free(memory);
        return 0;
}
