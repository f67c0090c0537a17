package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

// load makes calls at little cost: a request is signed once a minute and sent again and again. The endpoint does all that
// it does for a call signed by itself.
type load struct {
	url         string
	credentials aws.Credentials
}

// regions are those that are called.
var regions = []string{"us-east-1", "eu-west-1", "us-west-2"}

const question = `{"Text":"I like it.","LanguageCode":"en"}`

// sign makes a signed request.
func (l *load) sign(ctx context.Context, method, path, service, region, body string, header http.Header) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	sum := sha256.Sum256([]byte(body))
	return r, v4.NewSigner().SignHTTP(ctx, l.credentials, r, hex.EncodeToString(sum[:]), service, region, time.Now())
}

// setFaults puts faults in force, and those only.
func (l *load) setFaults(ctx context.Context, shares fault.Shares) error {
	method := http.MethodDelete
	body := []byte(nil)
	if len(shares) > 0 {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(shares); err != nil {
			return err
		}
	}
	r, err := l.sign(ctx, method, "/_aitrail/faults", "aitrail", "us-east-1", string(body), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("setting faults: %s", answer.Status)
	}
	return nil
}

// first makes a call in each Region.
func (l *load) first(ctx context.Context) (ids []string, err error) {
	for _, region := range regions {
		c := caller{load: l, web: http.DefaultClient, region: region}
		if c.call(ctx); len(c.ids) != 1 || c.failed > 0 {
			return nil, fmt.Errorf("the first call in %s failed", region)
		}
		ids = append(ids, c.ids...)
	}
	return ids, nil
}

// run makes calls and returns the request ids of those that were answered, and how many of them with an error.
func (l *load) run(ctx context.Context, o options) (ids []string, failed int) {
	turns := make(chan struct{}, o.clients)
	go func() {
		defer close(turns)
		pace(ctx, o, turns)
	}()
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.clients}}
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range o.clients {
		group.Go(func() {
			c := caller{load: l, web: web, region: regions[n%len(regions)]}
			for range turns {
				c.call(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			ids, failed = append(ids, c.ids...), failed+c.failed
		})
	}
	group.Wait()
	slices.Sort(ids)
	return slices.Compact(ids), failed
}

// pace gives turns evenly over the time; one that comes late is made up for.
func pace(ctx context.Context, o options, turns chan<- struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for given := 0; given < o.calls; {
		gone := time.Since(began)
		if gone > o.long && given >= o.least {
			return
		}
		if given >= int(gone.Seconds()/o.long.Seconds()*float64(o.calls)*1.02) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case turns <- struct{}{}:
			given++
		case <-ctx.Done():
			return
		}
	}
}

// caller is one client.
type caller struct {
	*load
	web    *http.Client
	region string
	signed *http.Request
	at     time.Time // of its signature
	ids    []string
	failed int
}

func (c *caller) call(ctx context.Context) {
	if time.Since(c.at) > time.Minute {
		header := http.Header{"X-Amz-Target": {"Comprehend_20171127.DetectSentiment"}, "Content-Type": {"application/x-amz-json-1.1"}}
		r, err := c.sign(ctx, http.MethodPost, "/", "comprehend", c.region, question, header)
		if err != nil {
			return
		}
		c.signed, c.at = r, time.Now()
	}
	r := c.signed.Clone(ctx)
	r.Body, _ = c.signed.GetBody()
	answer, err := c.web.Do(r)
	if err != nil {
		return // broken off, or not answered: none that must be in the lake
	}
	_, _ = io.Copy(io.Discard, answer.Body) // what counts is that it was answered
	answer.Body.Close()
	if id := answer.Header.Get("X-Amzn-Requestid"); id != "" {
		c.ids = append(c.ids, id)
		if answer.StatusCode != http.StatusOK {
			c.failed++
		}
	}
}
