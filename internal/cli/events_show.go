package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/query"
)

// rawTime is how long the log file of an event that is shown may take to be had.
const rawTime = 20 * time.Second

func (a *app) showCommand() *cobra.Command {
	var raw bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show one event whole, with its log file, place, verdict, and bytes", Args: exactArgs(1, "one event id"),
		Long: `Show an event as JSON: CloudTrail's members, what aitrail makes of them, and where it comes from: the log file
(source_object), its place in there (source_index, from 0), what is proven of that file (verdict, verdict_note), and the
record's bytes as they stand in the log file (raw), or why they can't be had (raw_error). Of an event that came one by one,
from a log group or the event history, log_file and log_file_index are the log file that holds it too, if that was collected.
Where model invocation logs tell of the call, it has what they tell (invocation).`,
		Example: "  aitrail events show 51d580ea-04f5-421c-b733-b5e4ec485a6e\n  aitrail events show --raw 51d580ea-04f5-421c-b733-b5e4ec485a6e | jq .userIdentity",
		RunE:    func(c *cobra.Command, args []string) error { return a.show(c.Context(), args[0], raw) },
	}
	c.Flags().BoolVar(&raw, "raw", false, "print the record's bytes as they stand in the log file, and nothing else")
	return c
}

// show prints an event as JSON, whatever the output format, or its bytes.
func (a *app) show(ctx context.Context, id string, raw bool) error {
	return a.withDB(ctx, query.Options{}, func(db *query.DB) error {
		events, err := db.Event(ctx, id)
		if err != nil {
			return err
		}
		for _, e := range events {
			at, err := a.lineage(ctx, db, e)
			if err != nil {
				return err
			}
			text, err := at.raw(ctx)
			if raw {
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(a.Stdout, text); err != nil {
					return err
				}
				continue
			}
			e = slices.DeleteFunc(e, func(m query.Member) bool { return m.Name == "verdict" }) // said once, beside its note
			if at.live != "" && at.object != "" {
				e = append(e, query.Member{Name: "log_file", Value: at.object}, query.Member{Name: "log_file_index", Value: at.index})
			}
			e = append(e, query.Member{Name: "verdict", Value: at.verdict}, query.Member{Name: "verdict_note", Value: at.note})
			invocation, lookErr := db.Invocation(ctx, at.request, at.event.account, at.event.region, at.event.at)
			if lookErr != nil {
				return lookErr
			}
			if invocation != nil {
				e = append(e, query.Member{Name: "invocation", Value: invocation})
			}
			if err != nil {
				e = append(e, query.Member{Name: "raw_error", Value: err.Error()})
			} else {
				e = append(e, query.Member{Name: "raw", Value: text})
			}
			if err := a.printJSON(query.AppendJSON(nil, e)); err != nil {
				return err
			}
		}
		return nil
	})
}

// lineage is where an event comes from.
type lineage struct {
	id            string
	object        string // URL of the log file
	index         int64  // of the record, from 0
	verdict, note string
	live          string // what it came from one by one; the log file is another's then, if there is one
	failed        error  // why it could not be looked for
	request       string // the id of the call's
	event         liveEvent
}

func (a *app) lineage(ctx context.Context, db *query.DB, e query.Object) (*lineage, error) {
	at := &lineage{}
	var event liveEvent
	for _, m := range e {
		switch m.Name {
		case "eventID":
			at.id = query.Text(m.Value)
		case "recipientAccountId":
			event.account = query.Text(m.Value)
		case "awsRegion":
			event.region = query.Text(m.Value)
		case "eventTime":
			event.at, _ = m.Value.(time.Time)
		case "source_object":
			at.object = query.Text(m.Value)
		case "source_index":
			at.index, _ = m.Value.(int64)
		case "verdict":
			at.verdict = query.Text(m.Value)
		case "requestID":
			at.request = query.Text(m.Value)
		}
	}
	at.event = event
	switch {
	case isLive(at.object):
		event.id, at.live = at.id, at.object
		looking, cancel := context.WithTimeoutCause(ctx, rawTime, errors.New("it took too long"))
		defer cancel()
		files, err := filesOf(looking, db, []liveEvent{event})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		at.failed = err
		file, ok := files[event]
		if !ok {
			at.object, at.note = "", "it came one by one: no digest speaks of it"
			if err != nil {
				at.note = "it came one by one, and its log file could not be looked for"
			}
			return at, nil
		}
		at.object, at.index, at.verdict, at.note = file.object, file.index, file.verdict, file.note
		if at.verdict == "" {
			at.note = "not verified yet"
		}
		return at, nil
	case at.verdict == "":
		at.note = "not verified yet"
		return at, nil
	}
	rows, err := db.Query(ctx, "SELECT coalesce(verdict_note, '') FROM log_files WHERE object = ? AND status = 'collected' AND verdict = ? ORDER BY collected_at", at.object, at.verdict)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		at.note = query.Text(rows.Values()[0])
	}
	return at, rows.Err()
}

// raw reads the record in its log file.
func (at *lineage) raw(ctx context.Context) (string, error) {
	if at.object == "" && at.failed != nil {
		return "", fmt.Errorf("event %s came one by one, from %s, and its log file could not be looked for: %w", at.id, at.live, at.failed)
	}
	if at.object == "" {
		return "", fmt.Errorf("event %s came one by one, from %s: the lake knows no log file of it", at.id, at.live)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, rawTime, errors.New("it took too long"))
	defer cancel()
	body, err := openObject(ctx, at.object)
	if err != nil {
		return "", fmt.Errorf("the log file can't be read: %w", err)
	}
	defer body.Close()
	text := ""
	err = eachRecord(body, func(e *cloudtrail.Event, index int64, raw string) bool {
		if index == at.index && strings.EqualFold(e.EventID, at.id) {
			text = raw
		}
		return index < at.index
	})
	if err != nil {
		return "", fmt.Errorf("the log file %s can't be read: %w", at.object, err)
	}
	if text == "" {
		return "", fmt.Errorf("the log file %s has another record at its place %d now", at.object, at.index)
	}
	return text, nil
}

// openObject opens the object of a URL.
func openObject(ctx context.Context, url string) (io.ReadCloser, error) {
	store, err := object.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	for info, err := range store.List(ctx, "", "") { // its one key
		if err != nil {
			return nil, err
		}
		body, _, err := store.Open(ctx, info.Key)
		return body, err
	}
	return nil, fmt.Errorf("%s: %w", url, object.ErrNotExist)
}

// eachRecord reads a log file, gzip or plain, until record returns false.
func eachRecord(body io.Reader, record func(e *cloudtrail.Event, index int64, raw string) bool) error {
	in := bufio.NewReader(body)
	var plain io.Reader = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		plain = z
	}
	r := cloudtrail.NewReader(plain)
	for {
		var e cloudtrail.Event
		switch err := r.Next(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if !record(&e, int64(r.Index()), r.Raw()) {
			return nil
		}
	}
}
