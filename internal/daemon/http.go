package daemon

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// stuck is how long collecting may be broken before the daemon counts as sick: a restart may help then.
const stuck = 10 * time.Minute

// Handler serves /metrics, /healthz and /readyz.
func (d *Daemon) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !d.allowed(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "metrics need the daemon's token", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, d.metrics()) // the client sees it break off
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.sick()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.unready()) })
	return mux
}

// answer says "ok", or what is wrong, a line each.
func answer(w http.ResponseWriter, wrong []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(wrong) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, strings.Join(wrong, "\n"))
		return
	}
	fmt.Fprintln(w, "ok")
}

func (d *Daemon) allowed(r *http.Request) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return d.opts.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(d.opts.Token)) == 1
}

// sick tells why the process had better be started anew.
func (d *Daemon) sick() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != "" && d.opts.Now().Sub(d.since) > stuck {
		return []string{"collecting is broken since " + d.since.UTC().Format(time.RFC3339)}
	}
	return nil
}

// unready tells what hasn't been looked through yet. It doesn't tell causes: who may ask isn't checked.
func (d *Daemon) unready() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var wrong []string
	if d.broken != "" {
		wrong = append(wrong, "collecting is broken")
	}
	for i, s := range d.follower.Sources() {
		if !s.Ready {
			wrong = append(wrong, fmt.Sprintf("source %d has not been looked through yet", i))
		}
	}
	return wrong
}

// serve answers until ctx ends.
func (d *Daemon) serve(ctx context.Context) error {
	web := &http.Server{
		Handler: d.guard(d.Handler()), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(d.opts.Listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := web.Shutdown(closing)
	<-ended
	return errors.Join(ctx.Err(), err)
}

// guard refuses requests to a loopback address that a web page made under a name of its own.
func (d *Daemon) guard(h http.Handler) http.Handler {
	if !loopback(d.opts.Listener.Addr().String()) {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "unknown host", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
