/* The tester finds no difference between redis-server and redis-server. */
#include "differential.h"

int main(void)
{
    options wanted;
    outcome result;
    options_init(&wanted);
    wanted.ours = "redis";
    wanted.commands = 100000;
    printf("seed %llu\n", (unsigned long long)wanted.seed);
    differential(&wanted, &result);
    printf("%llu commands, %llu comparisons, %zu differences\n",
           (unsigned long long)result.commands, (unsigned long long)result.compared,
           result.differences);
    return result.differences > 0 || result.compared < result.commands / 2;
}
