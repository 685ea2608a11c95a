"""Looking for operations on which two caches differ, and making them few.

- `case`: operations, and the divergence that they show; when two divergences are the same
- `trial`: operations done one by one until the first new divergence
- `fuzz`: Hypothesis chooses the operations of many trials
- `minimize`, `passes`: delta debugging that keeps the same divergence, and its ways to make a case smaller
- `program`: operations as a program to paste, and as a pytest file
- `case_files`, `fuzz_folder`: minimal cases as files, and the folder of all that fuzzing found
- `minimal_programs`: the programs that a report shows
"""
