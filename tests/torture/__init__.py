"""Nothing lost: kills, full disks, hostile files; short in every test run, long under `make torture`."""
