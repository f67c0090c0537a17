package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/object"
)

const (
	historyPace  = 500 * time.Millisecond // LookupEvents allows two requests a second
	historyPoll  = 30 * time.Second
	historyLate  = 15 * time.Minute // after which an event is in the history, as AWS says
	historySince = 90 * 24 * time.Hour
	historyPage  = 50
)

// history reads the event history: the management events of the last 90 days, which an account has without a trail, by
// LookupEvents (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html), Region by Region.
// What is new comes first; between looks at that, older events are read back. Data events are not in it.
type history struct {
	base
	regions []string
	account string
	config  aws.Config
	keeper  *keeper
}

func newHistory(b base, regions string) (feed, error) {
	h := &history{base: b}
	if regions != "" {
		h.regions = strings.Split(regions, ",")
	}
	return h, nil
}

func (h *history) open(ctx context.Context) (object.Store, error) {
	if h.keeper != nil {
		return nil, nil
	}
	var err error
	if h.config, err = config.LoadDefaultConfig(ctx); err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if len(h.regions) == 0 {
		if h.config.Region == "" {
			return nil, fmt.Errorf("no Region is set: name it, as history:us-east-1")
		}
		h.regions = []string{h.config.Region}
	}
	cfg := h.config
	cfg.Region = h.regions[0]
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("asking for the account: %w", err)
	}
	h.account = aws.ToString(who.Account)
	h.keeper, err = h.keep(ctx, historyScheme+h.account)
	return nil, err
}

func (h *history) once(ctx context.Context) error {
	return h.each(ctx, func(ctx context.Context, r *region) error {
		for fails := 0; ; {
			whole, err := r.step(ctx)
			if lost := r.note(ctx, err); lost != nil {
				return lost
			}
			if fails++; err == nil {
				fails = 0
			}
			if err == nil && whole || fails == 3 {
				return nil
			}
		}
	})
}

func (h *history) follow(ctx context.Context) error {
	go h.keeper.run(ctx)
	return h.each(ctx, func(ctx context.Context, r *region) error {
		for fails := 0; ; {
			whole, err := r.step(ctx)
			if lost := r.note(ctx, err); lost != nil {
				return lost
			}
			wait := time.Duration(0)
			if fails++; err == nil {
				fails = 0
			} else {
				wait = backoff(fails)
			}
			if whole {
				wait = max(wait, r.due.Sub(h.now()))
			}
			if !sleep(ctx, min(wait, h.poll())) {
				return ctx.Err()
			}
		}
	})
}

func (h *history) poll() time.Duration {
	if h.settings.Poll > 0 {
		return h.settings.Poll
	}
	return historyPoll
}

// each works on every Region.
func (h *history) each(ctx context.Context, work func(context.Context, *region) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range h.regions {
		cfg := h.config
		cfg.Region = name
		r := &region{h: h, name: name, client: cloudtrail.NewFromConfig(cfg)}
		g.Go(func() error { return work(ctx, r) })
	}
	return g.Wait()
}

func (h *history) close(ctx context.Context) error {
	if h.keeper == nil {
		return nil
	}
	return h.keeper.save(ctx)
}

// region reads one Region's history.
type region struct {
	h      *history
	name   string
	client *cloudtrail.Client
	asked  time.Time // the last request
	due    time.Time // the next look at what is new
	seen   seen

	known     bool
	whole     bool      // all has been read back
	low, high time.Time // all events between have been read
	token     *string   // of reading back
	until     *time.Time
}

// note tells the error of a step; it returns one that ends the run.
func (r *region) note(ctx context.Context, err error) error {
	var lost *lakeError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &lost):
		return lost.err
	case err != nil:
		err = fmt.Errorf("reading the event history of %s: %w", r.name, err)
		r.h.fail(r.h.name+" "+r.name, err)
	default:
		r.h.c.status(r.h.source, func(s *SourceStatus) { s.Ready = true })
	}
	r.h.looked(err)
	return nil
}

// step looks at what is new if that is due, else reads one page back. whole is true when there is nothing to read back.
func (r *region) step(ctx context.Context) (whole bool, err error) {
	if !r.known {
		if span := r.h.keeper.span(r.name); span.known() {
			r.known, r.whole, r.low, r.high = true, span.Whole, span.From, span.To
			r.until = &r.low
		} else {
			return false, r.begin(ctx)
		}
	}
	if now := r.h.now(); !now.Before(r.due) || r.due.Sub(now) > r.h.poll() { // or the clock was set back
		if err := r.news(ctx); err != nil {
			return false, err
		}
		r.due = r.h.now().Add(r.h.poll())
		return r.whole, nil
	}
	if r.whole {
		return true, nil
	}
	return r.whole, r.back(ctx)
}

// begin reads the first page of a Region: the latest events, whatever the clock says.
func (r *region) begin(ctx context.Context) error {
	if err := r.back(ctx); err != nil {
		return err
	}
	r.due = r.h.now().Add(r.h.poll())
	return nil
}

// news reads what is new, the latest first, down to some time before the latest event seen.
func (r *region) news(ctx context.Context) error {
	in := &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(historyPage)}
	if !r.high.IsZero() {
		in.StartTime = aws.Time(r.high.Add(-historyLate))
		r.seen.forget(r.high.Add(-2 * historyLate))
	}
	high, began := r.high, r.h.now()
	for {
		page, err := r.page(ctx, in, nil)
		if err != nil {
			return err
		}
		if page.last.After(high) {
			high = page.last
		}
		if in.NextToken = page.next; page.next == nil {
			break
		}
	}
	r.high = high
	r.h.keeper.after(r.name, func(s *cursorSpan) { // once all pages are in the lake
		if begin := began.Add(-historySince); s.known() && s.To.Before(begin) { // what came between is in the history no more
			s.From = begin
		}
		if s.To = high; s.From.IsZero() {
			s.From = high
		}
		s.Looked = began
	})(nil)
	return nil
}

// back reads a page of older events.
func (r *region) back(ctx context.Context) error {
	since := r.h.settings.Since
	if since == 0 {
		since = historySince
	}
	began := r.h.now()
	in := &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(historyPage), EndTime: r.until, NextToken: r.token}
	page, err := r.page(ctx, in, func(p page) func(*cursorSpan) {
		p.whole = p.next == nil || p.first.Before(r.h.now().Add(-since))
		r.low, r.high = widen(r.low, r.high, p.first, p.last)
		r.known, r.whole = true, p.whole
		return func(s *cursorSpan) {
			s.Whole = p.whole
			if s.From, s.To = widen(s.From, s.To, p.first, p.last); p.next == nil { // there is nothing before
				s.From, _ = widen(s.From, s.From, began.Add(-historySince), time.Time{})
			}
			if s.To.IsZero() { // there is nothing at all
				s.To = began.Add(-historyLate)
			}
			if s.Looked.IsZero() { // the first page of all
				s.Looked = began
			}
		}
	})
	var expired *types.InvalidNextTokenException
	if errors.As(err, &expired) {
		low := r.low
		r.token, r.until = nil, &low
		return nil // goes on from there
	}
	r.token = page.next
	return err
}

// page is one answer of LookupEvents.
type page struct {
	next        *string
	first, last time.Time
	whole       bool
}

// page asks for a page and brings its events into the current batch. change, unless it is nil, tells how the cursor is
// changed once they are in the lake.
func (r *region) page(ctx context.Context, in *cloudtrail.LookupEventsInput, change func(page) func(*cursorSpan)) (page, error) {
	if wait := historyPace - time.Since(r.asked); wait > 0 && !sleep(ctx, wait) {
		return page{}, ctx.Err()
	}
	r.asked = time.Now()
	out, err := r.client.LookupEvents(ctx, in)
	if err != nil {
		return page{}, err
	}
	p := page{next: out.NextToken}
	d := delivery{
		object:  historyScheme + r.h.account + "/" + r.name + "@" + r.h.now().UTC().Format("20060102T150405.000000000Z"),
		account: r.h.account, region: r.name,
	}
	var ids []string
	for _, e := range out.Events {
		at, id := aws.ToTime(e.EventTime).UTC(), aws.ToString(e.EventId)
		p.first, p.last = widen(p.first, p.last, at, at)
		if r.seen.add(id, at) {
			d.records, ids = append(d.records, aws.ToString(e.CloudTrailEvent)), append(ids, id)
		}
	}
	r.seen.trim()
	var edit func(*cursorSpan)
	if change != nil {
		edit = change(p)
	}
	d.done = r.h.keeper.after(r.name, edit)
	if len(d.records) == 0 {
		d.done(nil)
		return p, nil
	}
	err = r.h.c.deliver(ctx, r.h.source, d, func(i int) string { return historyScheme + r.h.account + "/" + r.name + "#" + ids[i] })
	if err != nil {
		return p, &lakeError{err}
	}
	return p, nil
}
