"""A broker on a disk that forgets what was not synced: layer/unsynced.cpp."""

import shutil


class PowerCuts:
    """A grid whose broker runs on files that forget what was not synced."""

    def __init__(self, env, grid, more=None):
        self.grid = grid
        self.folder = grid.dir / "store"
        self.copies = grid.dir / "copies"
        self.folder.mkdir()
        self.env = {"LD_PRELOAD": env.layer("unsynced"), "UNSYNCED_DIR": str(self.folder),
                    "UNSYNCED_COPIES": str(self.copies), **(more or {})}
        self.broker = None
        self.starts = 0

    def start(self, wait=True):
        shutil.rmtree(self.copies, ignore_errors=True)
        for name in ("contents", "names"):
            (self.copies / name).mkdir(parents=True)
        self.starts += 1
        self.broker = self.grid.broker("--store", str(self.folder / "broker.db"),
                                       name=f"broker-{self.starts}", env=self.env, wait=wait)
        return self.broker

    def cut(self):
        """What was not synced is gone. The broker may have ended by itself before."""
        self.grid.history.inject("cut", self.starts)
        self.broker.kill()
        for path in self.folder.iterdir():
            path.unlink()
        for path in (self.copies / "names").iterdir():
            shutil.copy(path, self.folder / path.name)
