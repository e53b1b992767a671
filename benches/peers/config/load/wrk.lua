-- What came of a run, on one line, for the harness: requests, microseconds that they took, answers that are no
-- success, connections that failed, and percentiles of the latency in microseconds.
function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.timeout
   print("load", summary.requests, summary.duration, errors.status, failed,
         latency:percentile(50), latency:percentile(99))
end
