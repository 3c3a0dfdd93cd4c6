# SPDX-License-Identifier: MIT
"""What the crash tests share: a scratch directory and a program run under the power-cut simulator."""

import os
import shutil
import tempfile

CUT_STATUS = 99


def scratch():
    """A new directory, in memory where possible: the simulator, not the disk, decides what is kept."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.mkdtemp(prefix="qmn-crash-", dir=base)


def discard(path):
    for name in (path, path + ".attic", path + ".lift"):
        if os.path.isdir(name):
            shutil.rmtree(name)
        elif os.path.exists(name):
            os.unlink(name)


def under_powercut(watched, **settings):
    """The environment of a program whose files below `watched` lie on the simulated disk."""
    env = dict(os.environ, LD_PRELOAD=os.environ["QMN_POWERCUT"], PC_DIR=watched)
    env.update({name: str(value) for name, value in settings.items()})
    return env


def clear_attic(path):
    shutil.rmtree(path + ".attic", ignore_errors=True)
