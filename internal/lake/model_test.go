//go:build unix

package lake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

// modelFiles are log files as they come: some of their events are in others too, all of them, again with an addendum, or
// years late; some objects are replaced. Some hold invocations, of which the same is true, and some are digests.
func modelFiles() (files []lake.LogFile, records [][]string) {
	put := func(object, etag string, lines []string) {
		f := row(object)
		f.ETag = etag
		files, records = append(files, f), append(records, lines)
	}
	for i := range 6 {
		object, lines := fmt.Sprintf("file:///%d", i), numbered("", i*4, i*4+6).records
		none := fmt.Sprintf(`{"eventTime":"2026-11-20T12:00:00Z","eventName":"NoID%d"}`, i)
		put(object, "e", append(slices.Clone(lines), none))
		switch i % 3 {
		case 0:
			put(fmt.Sprintf("file:///copy-%d", i), "e", lines)
			put(object, "replaced", numbered("", i*4+2, i*4+9).records)
		case 1:
			again := strings.Replace(lines[2], `"eventVersion"`, `"addendum":{"reason":"DELIVERY_DELAY"},"eventVersion"`, 1)
			put(fmt.Sprintf("file:///again-%d", i), "e", []string{again, lines[0]})
		case 2:
			old := -(i + 1) * 365 * 24 * 3600
			put(fmt.Sprintf("file:///late-%d", i), "e", append(numbered("", old, old+3).records, lines[1]))
		}
	}
	for i := range 4 {
		var lines []string
		for n := i * 3; n < i*3+5; n++ {
			lines = append(lines, invocation(n))
		}
		if i == 1 {
			lines = append(lines, invocation(-365*86400), strings.Replace(invocation(0), `"requestId":"r0",`, "", 1))
		}
		put(fmt.Sprintf("logs:%d", i), "e", lines)
		files[len(files)-1].Kind = cloudtrail.KindInvocations
		put(fmt.Sprintf("s3://b/d%d", i), "e", []string{string(digestText(i, i))})
		files[len(files)-1].Kind = cloudtrail.KindDigest
	}
	return files, records
}

// bring adds a log file to a batch.
func (m *model) bring(b *lake.Batch, i int) error {
	switch m.files[i].Kind {
	case cloudtrail.KindDigest:
		return addDigest(b, m.files[i], []byte(m.records[i][0]))
	case cloudtrail.KindInvocations:
		w := b.File(m.files[i])
		defer w.Drop()
		for n, r := range m.records[i] {
			var v cloudtrail.Invocation
			if err := v.Decode([]byte(r)); err != nil {
				m.t.Fatal(err)
			}
			if err := w.Invocation(&v, n, false); err != nil {
				return err
			}
		}
		return w.Done(nil)
	}
	w := b.File(m.files[i])
	defer w.Drop()
	for n, r := range m.records[i] {
		if err := w.Event(decode(m.t, r), n); err != nil {
			return err
		}
	}
	return w.Done(nil)
}

// model drives collectors and maintenance of one lake, and knows what must be in it.
type model struct {
	t       *testing.T
	at      string
	rnd     *rand.Rand
	files   []lake.LogFile
	records [][]string
	have    map[int]bool // the files that are in the lake
	who     []*collector
	log     []string // the steps taken
}

// collector is one process with a batch that it may keep for many steps.
type collector struct {
	l     *lake.Lake
	s     *steps
	b     *lake.Batch
	files []int // of the batch
	tried bool  // its Commit failed: nothing more may be added
}

// reopen begins anew after a process's end; what it had begun lies about.
func (m *model) reopen(c *collector) {
	if c.l != nil {
		c.l.Close()
	}
	*c = collector{s: &steps{at: -1, err: errFault}}
	var err error
	if c.l, err = lake.Open(ctx, m.at, lake.Options{Now: func() time.Time { return noon }}.WithFault(c.s.fault).WithBackoff(backoff)); err != nil {
		m.t.Fatal(err)
	}
}

// arm makes one of the next steps fail, half of the times with all that follow; sometimes none.
func (m *model) arm(s *steps, among int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = -1
	if m.rnd.IntN(2) == 0 {
		s.at, s.after, s.on = s.n+m.rnd.IntN(among), m.rnd.IntN(2) == 0, m.rnd.IntN(2) == 0
	}
}

func (m *model) fill(c *collector) error {
	if c.b == nil {
		c.b, c.tried = c.l.NewBatch(), false
	}
	if c.tried {
		if err := m.bring(c.b, 0); err == nil {
			m.t.Error("a log file was added to a batch whose Commit had been called")
		}
		return nil
	}
	for _, i := range m.rnd.Perm(len(m.files))[:1+m.rnd.IntN(3)] {
		if slices.Contains(c.files, i) {
			continue
		}
		f := m.files[i]
		if have, err := c.l.Collected(ctx, f.Object, f.Size, f.ETag); err != nil || have && m.rnd.IntN(4) > 0 {
			if err != nil {
				return err
			}
			continue // now and then it's brought all the same, as by one who didn't know
		}
		if err := m.bring(c.b, i); err != nil {
			return err
		}
		c.files = append(c.files, i)
	}
	return nil
}

// settle ends a batch after its commit: it is done, tried again later, given up, or its process dies.
func (m *model) settle(c *collector, err error) {
	died := c.s.on && err != nil
	if err != nil && !errors.Is(err, errFault) && !errors.Is(err, lake.ErrStale) {
		m.t.Errorf("error %v, want the injected one", err)
	}
	switch {
	case died:
		m.reopen(c)
		return
	case err == nil:
		c.b, c.files = nil, nil
	case errors.Is(err, lake.ErrStale) || m.rnd.IntN(2) == 0:
		c.s.heal()
		if err := c.b.Discard(); err != nil {
			m.t.Errorf("Discard: %v", err)
		}
		c.b, c.files = nil, nil
	}
	c.s.heal()
}

// commit commits batches at once and compares the lake with the model: each batch is in it whole or not at all.
func (m *model) commit(cs ...*collector) {
	cs = slices.DeleteFunc(cs, func(c *collector) bool { return c.b == nil })
	errs := make([]error, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		m.arm(c.s, 30)
		c.tried = true
		wg.Go(func() { _, errs[i] = c.b.Commit(ctx) })
	}
	wg.Wait()
	now := m.read()
	might := map[int]bool{}
	for i, c := range cs {
		in := 0
		for _, f := range c.files {
			might[f] = true
			if now[f] {
				in++
			}
		}
		if errs[i] == nil && in != len(c.files) {
			m.t.Errorf("Commit succeeded, and %d of %d log files are in the lake", in, len(c.files))
		}
		if fresh := slices.ContainsFunc(c.files, func(f int) bool { return now[f] && !m.have[f] }); len(cs) == 1 && fresh && in != len(c.files) {
			m.t.Errorf("%d of a batch's %d log files are in the lake", in, len(c.files))
		}
	}
	for f := range m.files {
		if m.have[f] && !now[f] || now[f] && !m.have[f] && !might[f] {
			m.t.Errorf("log file %s %s: in the lake %v, before %v", m.files[f].Object, m.files[f].ETag, now[f], m.have[f])
		}
	}
	m.have = now
	for i, c := range cs {
		m.settle(c, errs[i])
	}
}

func (m *model) maintain() {
	s := &steps{at: -1, err: errFault}
	m.arm(s, 60)
	l, err := lake.Open(ctx, m.at, lake.Options{Now: later}.WithFault(s.fault).WithBackoff(backoff))
	if err == nil {
		table := lake.Tables()[m.rnd.IntN(4)]
		switch m.rnd.IntN(4) {
		case 0:
			_, err = l.Compact(ctx, table, nil)
		case 1:
			_, err = l.ExpireSnapshots(ctx, table, 0)
		case 2:
			_, err = l.RemoveOrphans(ctx, 24*time.Hour, nil)
		default:
			_, err = l.Maintain(ctx, lake.Maintenance{})
		}
		l.Close()
	}
	if err != nil && !errors.Is(err, errFault) {
		m.t.Errorf("maintenance: %v", err)
	}
}

// read returns the log files in the lake, and checks that the lake has their events, each once and as it was.
func (m *model) read() map[int]bool {
	l, err := lake.Open(ctx, m.at, lake.Options{ReadOnly: true}.WithBackoff(backoff))
	if err != nil {
		m.t.Fatal(err)
	}
	defer l.Close()
	now, left := map[int]bool{}, map[string]int64{}
	for f, err := range l.LogFiles(ctx) {
		if err != nil {
			m.t.Fatal(err)
		}
		i := slices.IndexFunc(m.files, func(g lake.LogFile) bool { return g.Object == f.Object && g.ETag == f.ETag })
		if i < 0 || now[i] || f.Events != int64(len(m.records[i])) && f.Kind != cloudtrail.KindDigest {
			m.t.Fatalf("log file %+v is unknown, there twice, or has lost events", f)
		}
		now[i] = true
		left[f.Object] += f.Events - f.Duplicates
	}
	missing := map[string]bool{}
	possible := map[string][]string{} // records by object and place
	invocations, digests := map[string]bool{}, map[string]bool{}
	for i := range now {
		switch m.files[i].Kind {
		case cloudtrail.KindDigest:
			digests[m.files[i].Object] = true
			continue
		case cloudtrail.KindInvocations:
			for _, r := range m.records[i] {
				var v cloudtrail.Invocation
				if err := v.Decode([]byte(r)); err != nil {
					m.t.Fatal(err)
				}
				invocations[v.RequestID] = true
			}
			continue
		}
		for n, r := range m.records[i] {
			e, at := decode(m.t, r), fmt.Sprintf("%s %d", m.files[i].Object, n)
			missing[e.EventID+e.EventName] = true
			possible[at] = append(possible[at], value(m.t, e))
		}
	}
	for s, err := range l.ReadEvents(ctx, lake.EventFilter{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		id := s.Event.EventID + s.Event.EventName
		if !missing[id] {
			m.t.Errorf("event %s of %s is there twice, or of no log file in the lake", id, s.Object)
		}
		delete(missing, id)
		if at := fmt.Sprintf("%s %d", s.Object, s.Index); !slices.Contains(possible[at], value(m.t, &s.Event)) {
			m.t.Errorf("event %s isn't the one at %s", id, at)
		}
		left[s.Object]--
	}
	for _, row := range rowsOf(m.t, l, lake.Invocations) {
		id, _ := row["request_id"].(string)
		if !invocations[id] {
			m.t.Errorf("invocation %q is there twice, or of no log file in the lake", id)
		}
		delete(invocations, id)
		left[row["source_object"].(string)]--
	}
	for _, row := range rowsOf(m.t, l, lake.Digests) {
		object := row["object"].(string)
		if !digests[object] {
			m.t.Errorf("digest %s is there twice, or isn't in log_files", object)
		}
		delete(digests, object)
	}
	if len(invocations)+len(digests) > 0 {
		m.t.Errorf("missing invocations %v and digests %v", invocations, digests)
	}
	if len(missing) > 0 {
		m.t.Errorf("%d events are missing: %v", len(missing), missing)
	}
	for object, n := range left {
		if n != 0 {
			m.t.Errorf("%s: events − duplicates is %d more than it has rows", object, n)
		}
	}
	return now
}

func (m *model) step() {
	n := m.rnd.IntN(len(m.who))
	c := m.who[n]
	switch k := m.rnd.IntN(10); {
	case k < 3:
		m.log = append(m.log, fmt.Sprint("fill ", n))
		m.arm(c.s, 12)
		if err := m.fill(c); err != nil {
			m.settle(c, err)
		}
		c.s.heal()
	case k < 6:
		m.log = append(m.log, fmt.Sprint("commit ", n))
		m.commit(c)
	case k < 7:
		m.log = append(m.log, "commit all at once")
		m.commit(slices.Clone(m.who)...)
	case k < 9:
		m.log = append(m.log, "maintain")
		m.maintain()
		m.commit() // nothing has changed
	default:
		m.log = append(m.log, fmt.Sprint("kill ", n))
		m.reopen(c)
	}
}

// value is an event's JSON with its members in one order.
func value(t *testing.T, e *cloudtrail.Event) string {
	var v any
	if err := json.Unmarshal(e.AppendJSON(nil), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exactlyOnce takes random steps until the lake has all, and compares lake and model after each that may change it.
func exactlyOnce(t *testing.T, at string, seed uint64, n int) {
	m := &model{t: t, at: at, rnd: rand.New(rand.NewPCG(seed, 1)), have: map[int]bool{}}
	m.files, m.records = modelFiles()
	create(t, at)
	for range 3 {
		m.who = append(m.who, new(collector))
	}
	defer func() {
		for _, c := range m.who {
			if c.l != nil {
				c.l.Close()
			}
		}
		if t.Failed() {
			t.Logf("LAKE_TEST_SEED=%d; steps: %s", seed, strings.Join(m.log, ", "))
		}
	}()
	for _, c := range m.who {
		m.reopen(c)
	}
	for i := 0; i < n && !t.Failed(); i++ {
		m.step()
	}
	l := open(t, at, lake.Options{})
	b := l.NewBatch()
	there := 0
	for i, f := range m.files {
		if err := m.bring(b, i); err != nil {
			t.Fatal(err)
		}
		if m.have[i] && f.Kind != cloudtrail.KindDigest {
			there++
		}
	}
	if r, err := b.Commit(ctx); err != nil || r.Skipped != there {
		t.Errorf("Commit of all = %+v, %v; %d were there", r, err, len(m.have))
	}
	if got := m.read(); len(got) != len(m.files) {
		t.Errorf("%d log files at last, want %d", len(got), len(m.files))
	}
}

// TestExactlyOnce compares lakes in a folder, in a bucket and in catalogs with a model. With AITRAIL_LONG_TESTS it takes
// minutes; LAKE_TEST_SEED repeats what failed.
func TestExactlyOnce(t *testing.T) {
	rounds, seed := uint64(2), rand.Uint64()
	if os.Getenv("AITRAIL_LONG_TESTS") != "" {
		rounds = 50
	}
	if text := os.Getenv("LAKE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		rounds = 1
	}
	for i := range rounds {
		t.Run(fmt.Sprintf("folder %d", i), func(t *testing.T) { exactlyOnce(t, t.TempDir(), seed+i, 40) })
	}
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) {
			another := servers(t, nil)
			for i := range (rounds + 1) / 2 {
				t.Run(fmt.Sprint(i), func(t *testing.T) { exactlyOnce(t, another(), seed+i, 25) })
			}
		})
	}
}
