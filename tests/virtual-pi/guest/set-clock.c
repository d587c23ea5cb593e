/*
 * set-clock SECONDS: sets the clock and tells the kernel that it is right, the way every NTP client does
 * (adjtimex(2) without STA_UNSYNC). busybox can do the first half only. Not a clock discipline.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

int main(int count, char **arguments)
{
	if (count != 2) {
		fprintf(stderr, "usage: set-clock SECONDS\n");
		return 2;
	}
	double seconds = atof(arguments[1]);
	struct timespec now = { .tv_sec = (time_t)seconds };
	now.tv_nsec = (long)((seconds - (double)now.tv_sec) * 1e9);
	/* Setting the clock makes the kernel doubt it again: the order matters. */
	if (clock_settime(CLOCK_REALTIME, &now) != 0) {
		perror("clock_settime");
		return 1;
	}
	struct timex state = { .modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR, .status = STA_PLL };
	if (adjtimex(&state) < 0) {
		perror("adjtimex");
		return 1;
	}
	return 0;
}
