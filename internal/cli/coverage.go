package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/query"
)

func (a *app) coverageCommand() *cobra.Command {
	var q coverage.Question
	var since, until string
	var live bool
	c := &cobra.Command{
		Use:   "coverage",
		Short: "Show which AI calls would have been recorded, and whether what was recorded arrived",
		Long: `Show for each AI service, account and Region, and for any time: would a call have been recorded then (by the selectors
of the trails whose log files are in the lake), and did what was recorded arrive (by their digests)?

What is covered was recorded by a trail, and every log file that its digests name is in the lake. The rest is said with
its reason: a gap, logging stopped, not recorded, unknown, pending until the next digest. Nothing is guessed.

Selectors are followed by the events in which trails were changed, and by what CloudTrail answers: collect asks it when it
reads a bucket, and --live asks it now.`,
		Example: "  aitrail coverage\n  aitrail coverage --service bedrock --region eu-west-3 --since 7d\n  aitrail coverage --live -o json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Service != "" && !strings.Contains(q.Service, "*") {
				if _, err := service(q.Service); err != nil {
					return err
				}
			}
			var err error
			if q.Since, err = a.parseTime("--since", since); err != nil {
				return err
			}
			if q.Until, err = a.parseTime("--until", until); err != nil {
				return err
			}
			if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
				return usagef("--until %s is not after --since %s", until, since)
			}
			if live {
				if err := a.see(c.Context()); err != nil {
					return err
				}
			}
			return a.withDB(c.Context(), query.Options{}, func(db *query.DB) error {
				r, err := a.coverageOf(c.Context(), db, q)
				if err != nil {
					return err
				}
				return a.printCoverage(r, q)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&q.Service, "service", "", "AI `service`, as aitrail services lists them; * stands for any characters, here and below")
	f.StringVar(&q.Operation, "operation", "", "API `operation`")
	f.StringVar(&q.Account, "account", "", "AWS `account`")
	f.StringVar(&q.Region, "region", "", "AWS `Region`")
	f.StringVar(&since, "since", "", "from this `time`: 2026-11-23, 2026-11-23T07:30:00Z, or 36h, 7d ago (default: the lake's first)")
	f.StringVar(&until, "until", "", "before this `time` (default: now)")
	f.BoolVar(&live, "live", false, "ask CloudTrail what the account's trails record now, and keep the answer")
	_ = c.RegisterFlagCompletionFunc("service", cobra.FixedCompletions(serviceKeys(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return c
}

// coverageOf answers a question of coverage.
func (a *app) coverageOf(ctx context.Context, db *query.DB, q coverage.Question) (*coverage.Report, error) {
	facts, err := a.facts(ctx, db)
	if err != nil {
		return nil, err
	}
	return facts.Report(q), nil
}

// questionOf asks for the coverage of what a filter chooses.
func questionOf(f query.Filter) coverage.Question {
	return coverage.Question{Service: f.Service, Operation: f.Operation, Account: f.Account, Region: f.Region, Since: f.Since, Until: f.Until}
}

func (a *app) printCoverage(r *coverage.Report, q coverage.Question) error {
	switch a.output {
	case "json":
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	case "csv":
		return a.print(coverageRows(r))
	}
	w := &wording{report: r, question: q}
	fmt.Fprintln(a.Stdout, w.headline())
	if len(r.Places) == 0 || w.noTime() {
		return nil
	}
	fmt.Fprintln(a.Stdout)
	rows := make([][]any, len(r.Places))
	for i, p := range r.Places {
		rows[i] = []any{p.Account, p.Region, p.LogFiles, p.Last, percent(p.Complete), knownBy(p), w.gaps(p.Spans)}
	}
	if err := a.print([]string{"account", "region", "log_files", "last_event", "arrived", "known_by", "gaps"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.Stdout)
	columns, rows := w.services()
	if err := a.print(columns, rows); err != nil {
		return err
	}
	if len(r.Issues) > 0 {
		fmt.Fprintln(a.Stdout, "\nNot covered:")
	}
	for i := range r.Issues {
		if i == listedIssues && q.Service == "" {
			fmt.Fprintf(a.Stdout, "  and %d more: --service, --region and -o json show them\n", len(r.Issues)-i)
			break
		}
		fmt.Fprintln(a.Stdout, "  "+w.issue(&r.Issues[i], 8))
	}
	return nil
}

// knownBy says what tells of a place's events.
func knownBy(p coverage.PlaceReport) string {
	var list []string
	if slices.ContainsFunc(p.Spans, func(s coverage.Span) bool { return s.State == coverage.Covered || s.State == coverage.Gap }) {
		list = append(list, "digests")
	}
	if len(p.History) > 0 {
		list = append(list, "event history")
	}
	return strings.Join(list, ", ")
}

// listedIssues is how many issues are listed of all services.
const listedIssues = 20

// coverageRows are one row for each kind of events, place and stretch of time.
func coverageRows(r *coverage.Report) (columns []string, rows [][]any) {
	for _, s := range r.Services {
		for _, k := range s.Kinds {
			for _, span := range k.Spans {
				rows = append(rows, []any{s.Service, s.Account, s.Region, k.Kind, k.Category, span.State.String(), span.From, span.To, span.Note, span.By})
			}
		}
	}
	return []string{"ai_service", "account", "region", "kind", "category", "state", "from", "to", "note", "by"}, rows
}

// percent writes a share; only the whole is 100%, and only nothing is 0%.
func percent(share float64) string {
	tenths := math.Floor(share * 1000)
	if share > 0 && tenths == 0 {
		return "<0.1%"
	}
	if share < 1 {
		tenths = min(tenths, 999)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", tenths/10), ".0") + "%"
}

// wording puts a report into words.
type wording struct {
	report   *coverage.Report
	question coverage.Question
}

// headline is the number, and what it is of.
func (w *wording) headline() string {
	r := w.report
	if len(r.Places) == 0 {
		return "coverage unknown: the lake has no log files and digests of what was asked for"
	}
	if w.noTime() && !w.question.Since.IsZero() {
		return "coverage unknown: the time that was asked for is yet to come"
	}
	if w.noTime() {
		return "coverage unknown: the lake has neither events nor digests that would tell a time; --since gives one"
	}
	text := w.number()
	services := map[string]bool{}
	for _, s := range r.Services {
		services[s.Service] = true
	}
	what := fmt.Sprintf("%d kinds of events of %d AI services", r.Kinds, len(services))
	if len(services) == 1 {
		what = fmt.Sprintf("%d kinds of %s events", r.Kinds, r.Services[0].Service)
	}
	if r.Kinds == 1 {
		what = strings.Replace(what, "kinds", "kind", 1)
	}
	return fmt.Sprintf("%s of %s, in %s, from %s to %s", text, what, w.places(placesOf(r)), r.From.UTC().Format(time.DateTime), w.stamp(r.To))
}

// noTime tells whether the report is of no time at all.
func (w *wording) noTime() bool { return !w.report.From.Before(w.report.To) }

// number is coverage as a number; where nothing tells anything it is none.
func (w *wording) number() string {
	r := w.report
	if r.Covered == 0 && !slices.ContainsFunc(r.Issues, func(i coverage.Issue) bool { return i.State != coverage.Unknown }) {
		return "coverage unknown"
	}
	text := "coverage " + percent(r.Covered)
	if r.Pending > 0 {
		text += ", " + percent(r.Pending) + " pending"
	}
	return text
}

func placesOf(r *coverage.Report) []coverage.Place {
	list := make([]coverage.Place, len(r.Places))
	for i, p := range r.Places {
		list[i] = p.Place
	}
	return list
}

// line says coverage in a line: the number, and the worst of what isn't covered.
func (w *wording) line() string {
	r := w.report
	if len(r.Places) == 0 || w.noTime() {
		return w.headline()
	}
	text := w.number()
	text += fmt.Sprintf(" (%s to %s)", r.From.UTC().Format(time.DateTime), w.stamp(r.To))
	if len(r.Issues) == 0 {
		return text + ": all would have been recorded, and all that was recorded is in the lake"
	}
	if i := r.Issues[0]; len(r.Issues) == 1 && i.State == coverage.Unknown && i.All && len(i.Places) == len(r.Places) && w.times(i.Times) == "" {
		return text + ": " + visible(i.Note)
	}
	for i := range r.Issues {
		if i == 3 {
			text += fmt.Sprintf("; %d more: aitrail coverage", len(r.Issues)-i)
			break
		}
		short := r.Issues[i]
		short.Note, _, _ = strings.Cut(short.Note, " (event ")
		text += []string{": ", "; "}[min(i, 1)] + w.issue(&short, 2)
	}
	return text
}

// issue says what isn't covered, with at most so many kinds of events by name.
func (w *wording) issue(i *coverage.Issue, names int) string {
	words := map[coverage.State]string{
		coverage.Gap: "gap", coverage.Stopped: "logging stopped", coverage.NotRecorded: "not recorded", coverage.Unknown: "unknown",
		coverage.Partly: "recorded in part", coverage.Pending: "pending",
	}
	text := words[i.State]
	if !i.All {
		text += ": " + w.kinds(i.Kinds, names)
	}
	if len(i.Places) < len(w.report.Places) || len(i.Places) == 1 {
		text += " in " + w.places(i.Places)
	}
	if t := w.times(i.Times); t != "" {
		text += " " + t
	}
	if i.Note != "" {
		text += " (" + visible(i.Note) + ")"
	}
	return text
}

func (w *wording) kinds(kinds []string, names int) string {
	if len(kinds) > names {
		return fmt.Sprintf("%d of %d kinds of events", len(kinds), w.report.Kinds)
	}
	list := slices.Clone(kinds)
	one := !slices.ContainsFunc(w.report.Services, func(s coverage.ServiceReport) bool { return s.Service != w.report.Services[0].Service })
	for i := range list {
		if service, kind, ok := strings.Cut(list[i], " "); ok && (one || strings.Contains(kind, "::")) {
			list[i] = kind
		} else {
			list[i] = service + " " + kind
		}
	}
	return strings.Join(list, ", ")
}

// places names places: by their Regions where there is one account only.
func (w *wording) places(places []coverage.Place) string {
	accounts := map[string]bool{}
	for _, p := range w.report.Places {
		accounts[p.Account] = true
	}
	if len(places) > 3 {
		if len(accounts) == 1 {
			return fmt.Sprintf("%d Regions", len(places))
		}
		return fmt.Sprintf("%d accounts' Regions", len(places))
	}
	var names []string
	for _, p := range places {
		if len(accounts) == 1 {
			names = append(names, p.Region)
		} else {
			names = append(names, p.Account+" "+p.Region)
		}
	}
	return strings.Join(names, ", ")
}

// times says when: nothing for the whole of the report's time.
func (w *wording) times(times []coverage.Time) string {
	var list []string
	for i, t := range times {
		if i == 3 && len(times) > 4 {
			list = append(list, fmt.Sprintf("%d more times", len(times)-i))
			break
		}
		list = append(list, w.time(t.From, t.To))
	}
	return strings.Join(list, ", ")
}

func (w *wording) time(from, to time.Time) string {
	begins, ends := from.Equal(w.report.From), to.Equal(w.report.To)
	switch {
	case begins && ends:
		return ""
	case begins:
		return "until " + w.stamp(to)
	case ends:
		return "since " + w.stamp(from)
	case day(from).Equal(day(to)):
		return w.stamp(from) + "–" + clock(to)
	}
	return w.stamp(from) + " – " + w.stamp(to)
}

// gaps lists the gaps among spans, and after them what else isn't covered.
func (w *wording) gaps(spans []coverage.Span) string {
	var list []string
	for _, state := range []coverage.State{coverage.Gap, coverage.Stopped, coverage.Unknown, coverage.Pending} {
		var times []coverage.Time
		for _, s := range spans {
			n := len(times) - 1
			switch {
			case s.State != state:
			case n >= 0 && times[n].To.Equal(s.From):
				times[n].To = s.To
			default:
				times = append(times, coverage.Time{From: s.From, To: s.To})
			}
		}
		if len(times) > 0 {
			list = append(list, strings.TrimSpace(state.String()+" "+w.times(times)))
		}
	}
	return strings.Join(list, "; ")
}

// services are one row for each service, or for the services of which all is the same; of one service, where its places
// differ, one for each.
func (w *wording) services() (columns []string, rows [][]any) {
	type line struct {
		cells    [3]string // management, data, network
		services []string
		places   []coverage.Place
		covered  float64
	}
	var lines []*line
	for _, list := range slices.Collect(chunked(w.report.Services)) {
		byCells := map[[3]string]*line{}
		for i := range list {
			s := &list[i]
			cells := [3]string{management(s), counted(s, "Data"), counted(s, "NetworkActivity")}
			l := byCells[cells]
			if l == nil {
				l = &line{cells: cells, services: []string{s.Service}}
				byCells[cells] = l
				lines = append(lines, l)
			}
			l.places, l.covered = append(l.places, s.Place), l.covered+s.Covered
		}
		for _, l := range byCells {
			l.covered /= float64(len(l.places))
		}
	}
	if w.question.Service == "" {
		for i := 0; i < len(lines); i++ {
			same := func(l *line) bool {
				return l != lines[i] && l.cells == lines[i].cells && percent(l.covered) == percent(lines[i].covered) && slices.Equal(l.places, lines[i].places)
			}
			for _, l := range lines[i+1:] {
				if same(l) {
					lines[i].services = append(lines[i].services, l.services...)
				}
			}
			lines = append(lines[:i+1], slices.DeleteFunc(lines[i+1:], same)...)
		}
	}
	all := len(w.report.Places)
	for _, l := range lines {
		where := "all"
		if len(l.places) < all || all == 1 {
			where = w.places(l.places)
		}
		rows = append(rows, []any{few(l.services), where, l.cells[0], l.cells[1], l.cells[2], percent(l.covered)})
	}
	return []string{"ai_service", "regions", "management", "data events", "network", "covered"}, rows
}

// few names the first of many.
func few(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:2], ", "), len(names)-2)
}

// chunked yields the reports of each service in turn.
func chunked(list []coverage.ServiceReport) func(func([]coverage.ServiceReport) bool) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b coverage.ServiceReport) int { return strings.Compare(a.Service, b.Service) })
	return func(yield func([]coverage.ServiceReport) bool) {
		for len(list) > 0 {
			n := slices.IndexFunc(list, func(s coverage.ServiceReport) bool { return s.Service != list[0].Service })
			if n < 0 {
				n = len(list)
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// now is how a kind is recorded at the end of the report's time.
func now(k *coverage.KindReport) string {
	if len(k.Spans) == 0 {
		return "unknown"
	}
	switch s := k.Spans[len(k.Spans)-1]; s.State {
	case coverage.Covered, coverage.Pending, coverage.Gap:
		return "recorded"
	case coverage.NotRecorded:
		return "no"
	case coverage.Partly:
		return "in part"
	case coverage.Stopped:
		return "stopped"
	case coverage.Unknown:
		if s.Recorded {
			return "recorded"
		}
	}
	return "unknown"
}

func management(s *coverage.ServiceReport) string {
	var reads, writes string
	for i := range s.Kinds {
		switch k := &s.Kinds[i]; k.Kind {
		case "management reads":
			reads = now(k)
		case "management writes":
			writes = now(k)
		}
	}
	switch {
	case reads == "" && writes == "":
		return "–"
	case reads == writes && reads == "recorded":
		return "reads, writes"
	case reads == writes, reads == "":
		return writes
	case writes == "":
		return reads
	case reads == "recorded" && writes == "no":
		return "reads"
	case writes == "recorded" && reads == "no":
		return "writes"
	}
	return "reads " + reads + ", writes " + writes
}

// counted counts the kinds of a category that are recorded.
func counted(s *coverage.ServiceReport, category string) string {
	states := map[string]int{}
	n := 0
	for i := range s.Kinds {
		if s.Kinds[i].Category == category {
			states[now(&s.Kinds[i])]++
			n++
		}
	}
	if n == 0 {
		return "–"
	}
	for state, m := range states {
		if m == n && state != "recorded" {
			return state
		}
	}
	return fmt.Sprintf("%d of %d", states["recorded"], n)
}

// stamp writes a time as far as it is exact, without the day where the report is of one day.
func (w *wording) stamp(t time.Time) string {
	t = t.UTC()
	if day(w.report.From).Equal(day(w.report.To)) && day(t).Equal(day(w.report.To)) {
		return clock(t)
	}
	return t.Format("2006-01-02 ") + clock(t)
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func clock(t time.Time) string {
	t = t.UTC()
	if t.Second() == 0 && t.Nanosecond() == 0 {
		return t.Format("15:04")
	}
	return t.Format("15:04:05")
}
