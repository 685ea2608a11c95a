"""Results: what a comparison found, as data. Nothing here prints or decides.

- `divergence`: one point where two caches differ; kinds, severities, known differences, the log
- `result`: the numbers and divergences of one run, or of several added up
- `adding`: from shadows to a result, and from several results to one
- `writing`, `reading`: results as JSON files
- `type_check`: whether what was read has the declared types
"""
