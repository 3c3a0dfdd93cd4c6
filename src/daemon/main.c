/* SPDX-License-Identifier: MIT
 *
 * qmnd. */
#include "daemon/run.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    return daemon_run(argc, argv, environ);
}
