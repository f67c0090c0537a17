package daemon

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exposition writes metrics in Prometheus's text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
type exposition struct{ strings.Builder }

// family begins a metric; kind is counter or gauge.
func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// escape is how a label's value is written.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes a value; labels are names and values in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.WriteString(cmp.Or(map[bool]string{true: "{"}[i == 0], ","))
		e.WriteString(labels[i] + `="` + escape.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")) + `"`)
	}
	if len(labels) > 0 {
		e.WriteString("}")
	}
	e.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// one writes a metric without labels.
func (e *exposition) one(name, kind, help string, value float64) {
	e.family(name, kind, help)
	e.sample(name, value)
}

const (
	counter = "counter"
	gauge   = "gauge"
)

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metrics returns all metrics as text.
func (d *Daemon) metrics() string {
	r := d.Report()
	var e exposition
	e.family("aitrail_log_files_total", counter, "Log files dealt with, by what became of them.")
	for _, n := range []struct {
		result string
		n      int64
	}{{"collected", r.Collected}, {"skipped", r.Skipped}, {"quarantined", r.Quarantined}} {
		e.sample("aitrail_log_files_total", float64(n.n), "result", n.result)
	}
	e.one("aitrail_failures_total", counter, "Objects and listings that could not be read; most are tried again.", float64(r.Failed))
	e.one("aitrail_events_total", counter, "Events brought into the lake.", float64(r.Events))
	e.one("aitrail_duplicates_total", counter, "Events left out because the lake had them.", float64(r.Duplicates))
	e.one("aitrail_ai_calls_total", counter, "Calls of AI services in collected log files.", float64(r.AICalls))
	e.one("aitrail_read_bytes_total", counter, "Bytes of collected log files, as stored.", float64(r.Bytes))
	d.sourceMetrics(&e)
	d.stageMetrics(&e)
	e.process(d.start)
	return e.String()
}

func (d *Daemon) sourceMetrics(e *exposition) {
	sources := d.now().Sources()
	for _, m := range []struct {
		name, kind, help string
		value            func(i int) float64
	}{
		{"aitrail_source_ready", gauge, "1 once what was there at first has been handed on.", func(i int) float64 { return truth(sources[i].Ready) }},
		{"aitrail_source_up", gauge, "1 when the last look at the source went well.", func(i int) float64 { return truth(sources[i].Error == "" && !sources[i].Looked.IsZero()) }},
		{"aitrail_source_last_look_timestamp_seconds", gauge, "When a look at the source last went well.", func(i int) float64 { return unix(sources[i].Looked) }},
		{"aitrail_source_newest_event_timestamp_seconds", gauge, "Latest eventTime that came from the source.", func(i int) float64 { return unix(sources[i].Newest) }},
		{"aitrail_source_events_total", counter, "Events that came from the source, duplicates included.", func(i int) float64 { return float64(sources[i].Events) }},
		{"aitrail_source_places", gauge, "Accounts and Regions that are followed.", func(i int) float64 { return float64(sources[i].Places) }},
		{"aitrail_source_backfill_months", gauge, "Months of accounts and Regions still to be read back.", func(i int) float64 { return float64(sources[i].Backfill) }},
		{"aitrail_source_listings_total", counter, "Requests for listings of the source's bucket.", func(i int) float64 { return float64(sources[i].Listings) }},
		{"aitrail_source_swept_timestamp_seconds", gauge, "When the account and Region that was listed whole the longest ago was.", func(i int) float64 { return unix(sources[i].Swept) }},
		{"aitrail_source_beside_folders", gauge, "Folders beside AWSLogs/, which are not followed.", func(i int) float64 { return float64(sources[i].Beside) }},
		{"aitrail_source_poison_total", counter, "Messages that can't be used.", func(i int) float64 { return float64(sources[i].Poison) }},
	} {
		e.family(m.name, m.kind, m.help)
		for i, s := range sources {
			e.sample(m.name, m.value(i), "source", s.Source)
		}
	}
}

func (d *Daemon) stageMetrics(e *exposition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.one("aitrail_collect_up", gauge, "0 while collecting is broken and waits to begin anew.", truth(d.broken == ""))
	e.one("aitrail_collect_restarts_total", counter, "How often collecting began anew after an error of the lake.", float64(d.restarts))
	var names []string
	for source := range d.verified {
		names = append(names, source)
	}
	slices.Sort(names)
	for _, m := range []struct {
		name, help string
		value      func(v verified) float64
	}{
		{"aitrail_verify_holds", "1 when all that can be proven of the source holds.", func(v verified) float64 { return truth(v.Holds) }},
		{"aitrail_verify_findings", "Findings of the last verification that say that something does not hold.", func(v verified) float64 { return float64(v.Findings) }},
		{"aitrail_verify_pending", "Log files that no digest names yet.", func(v verified) float64 { return float64(v.Pending) }},
		{"aitrail_verify_last_timestamp_seconds", "When the source was verified last.", func(v verified) float64 { return unix(v.at) }},
		{"aitrail_verify_up", "1 when the last verification reached a verdict.", func(v verified) float64 { return truth(v.error == "") }},
	} {
		if len(names) > 0 {
			e.family(m.name, gauge, m.help)
		}
		for _, source := range names {
			e.sample(m.name, m.value(d.verified[source]), "source", source)
		}
	}
	if d.opts.Maintain == nil {
		return
	}
	e.one("aitrail_maintain_runs_total", counter, "How often the lake was maintained.", float64(d.tended.runs))
	e.one("aitrail_maintain_failures_total", counter, "How often that failed.", float64(d.tended.failed))
	e.one("aitrail_maintain_last_timestamp_seconds", gauge, "When that last went well.", unix(d.tended.at))
}

// process writes the metrics of the process that dashboards ask for.
func (e *exposition) process(start time.Time) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	e.one("go_goroutines", gauge, "Goroutines.", float64(runtime.NumGoroutine()))
	e.one("go_memstats_heap_inuse_bytes", gauge, "Bytes of the heap in use.", float64(m.HeapInuse))
	e.one("process_start_time_seconds", gauge, "When the daemon began.", unix(start))
	if pages, ok := resident(); ok {
		e.one("process_resident_memory_bytes", gauge, "Memory that the process holds.", float64(pages*int64(os.Getpagesize())))
	}
}

// resident returns the pages that the process holds, where the system tells.
func resident() (int64, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	return n, err == nil
}
