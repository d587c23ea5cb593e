/*
 * i2c-write DEVICE ADDRESS BYTE: writes one byte to a part on an I2C bus. It sets the switch before the
 * sensor, which is how a test pulls the sensor's plug. Not a tool for anything else.
 */
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	if (count != 4) {
		fprintf(stderr, "usage: i2c-write DEVICE ADDRESS BYTE\n");
		return 2;
	}
	unsigned char byte = (unsigned char)strtoul(arguments[3], NULL, 0);
	int bus = open(arguments[1], O_RDWR);
	if (bus < 0 || ioctl(bus, I2C_SLAVE, strtoul(arguments[2], NULL, 0)) < 0 || write(bus, &byte, 1) != 1) {
		perror(arguments[1]);
		return 1;
	}
	return 0;
}
