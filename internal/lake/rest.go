package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icecatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
)

// Environment variables with the credentials of a REST catalog: a bearer token, or an OAuth2 client's "id:secret".
const (
	envToken      = "AITRAIL_CATALOG_TOKEN"
	envCredential = "AITRAIL_CATALOG_CREDENTIAL"
)

// restWait is how long a REST catalog may take for an answer, and restTries how often it is asked what can be asked again.
const (
	restWait  = time.Minute
	restTries = 4
)

// restCatalog is an Iceberg REST catalog: the server checks the requirements and writes the metadata.
// Requests have the context of Open without its end, as those for files; their time is bounded.
type restCatalog struct {
	ctx       context.Context
	c         *rest.Catalog
	namespace []string
}

var _ tableCatalog = (*restCatalog)(nil)

func openREST(ctx context.Context, a address) (tableCatalog, error) {
	opts := []rest.Option{
		rest.WithCustomTransport(patient{http.DefaultTransport}),
		rest.WithWarehouseLocation(a.options.Get("warehouse")), rest.WithScope(a.options.Get("scope")),
		rest.WithAudience(a.options.Get("audience")), rest.WithResource(a.options.Get("resource")),
		rest.WithOAuthToken(os.Getenv(envToken)), rest.WithCredential(os.Getenv(envCredential)),
		// All snapshots must come: what they name is in use.
		rest.WithAdditionalProps(iceberg.Properties{"snapshot-loading-mode": string(rest.SnapshotModeAll)}),
	}
	if s := a.options.Get("oauth2-server-uri"); s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("oauth2-server-uri %q is not a URL", s)
		}
		opts = append(opts, rest.WithAuthURI(u))
	}
	if service := a.options.Get("sigv4"); service != "" {
		opts = append(opts, rest.WithSigV4RegionSvc("", service))
	}
	c, err := rest.NewCatalog(ctx, "aitrail", a.uri, opts...)
	if err != nil {
		return nil, fmt.Errorf("REST %w %s: %w", ErrCatalog, a.uri, denied(err))
	}
	return &restCatalog{ctx, c, a.namespace}, nil
}

func (c *restCatalog) ident(name string) table.Identifier {
	return append(append(table.Identifier{}, c.namespace...), name)
}

func (c *restCatalog) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("REST %w, namespace %s: %w", ErrCatalog, strings.Join(c.namespace, "."), denied(err))
}

// denied adds ErrDenied to an error that says so.
func denied(err error) error {
	for _, is := range []error{rest.ErrUnauthorized, rest.ErrForbidden, rest.ErrAuthorizationExpired, rest.ErrOAuthError} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", ErrDenied, err)
		}
	}
	return err
}

// locate implements tableCatalog.
func (c *restCatalog) locate(name string) (string, bool, error) {
	t, err := c.c.LoadTable(c.ctx, c.ident(name))
	if errors.Is(err, icecatalog.ErrNoSuchTable) { // or no such namespace: create makes it
		return "", false, nil
	}
	if err != nil {
		return "", false, c.wrap(err)
	}
	return t.Location(), true, nil
}

// load implements tableCatalog.
func (c *restCatalog) load(name, _ string) (version, error) {
	t, err := c.c.LoadTable(c.ctx, c.ident(name))
	if errors.Is(err, icecatalog.ErrNoSuchTable) {
		return version{}, fmt.Errorf("%w: the REST catalog has no table %s in namespace %s", ErrNoLake, name, strings.Join(c.namespace, "."))
	}
	if err != nil {
		return version{}, c.wrap(err)
	}
	return version{t.Metadata(), t.MetadataLocation()}, nil
}

// create implements tableCatalog. The table comes into being by a commit, because the catalog's own way of creating one gives
// the columns other ids.
func (c *restCatalog) create(name string, meta table.Metadata) error {
	spec, order := meta.PartitionSpec(), meta.SortOrder()
	updates := []table.Update{
		table.NewAssignUUIDUpdate(meta.TableUUID()), table.NewUpgradeFormatVersionUpdate(meta.Version()),
		table.NewAddSchemaUpdate(meta.CurrentSchema()), table.NewSetCurrentSchemaUpdate(-1),
		table.NewAddPartitionSpecUpdate(&spec, true), table.NewSetDefaultSpecUpdate(-1),
		table.NewAddSortOrderUpdate(&order), table.NewSetDefaultSortOrderUpdate(-1),
		table.NewSetLocationUpdate(meta.Location()), table.NewSetPropertiesUpdate(meta.Properties()),
	}
	for tries := 0; ; tries++ {
		_, _, err := c.c.CommitTable(c.ctx, c.ident(name), []table.Requirement{table.AssertCreate()}, updates)
		if err == nil || errors.Is(err, table.ErrCommitFailed) { // another made it at the same time
			return nil
		}
		if _, lookErr := c.load(name, ""); lookErr == nil { // the answer was lost
			return nil
		}
		if tries > 0 || !errors.Is(err, icecatalog.ErrNoSuchTable) && !errors.Is(err, icecatalog.ErrNoSuchNamespace) {
			return c.wrap(err)
		}
		if err := c.c.CreateNamespace(c.ctx, c.namespace, nil); err != nil && !errors.Is(err, icecatalog.ErrNamespaceAlreadyExists) {
			return c.wrap(err)
		}
	}
}

// commit implements tableCatalog.
func (c *restCatalog) commit(ctx context.Context, base *loaded, reqs []table.Requirement, updates []table.Update) (version, error) {
	meta, location, err := c.c.CommitTable(ctx, c.ident(base.name), reqs, updates)
	if err == nil {
		return version{meta, location}, nil
	}
	for _, refused := range []error{
		table.ErrCommitFailed, rest.ErrBadRequest, rest.ErrUnauthorized, rest.ErrForbidden, icecatalog.ErrNoSuchTable,
	} {
		if errors.Is(err, refused) {
			return version{}, c.wrap(err)
		}
	}
	return version{}, fmt.Errorf("%w: %w", errUnknown, c.wrap(err))
}

// patient asks again what fails now and then, if it only asks, and doesn't wait for ever.
type patient struct{ next http.RoundTripper }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(r.Context(), restWait)
		resp, err := p.next.RoundTrip(r.WithContext(ctx))
		busy := err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500)
		if err == nil {
			resp.Body = &timedBody{resp.Body, cancel}
		} else {
			cancel()
		}
		if err == nil && !busy || r.Method != http.MethodGet || n == restTries {
			return resp, err
		}
		if err == nil {
			resp.Body.Close()
		}
		pause := time.NewTimer(time.Duration(n*n) * 100 * time.Millisecond)
		select {
		case <-r.Context().Done():
			pause.Stop()
			return nil, r.Context().Err()
		case <-pause.C:
		}
	}
}

// timedBody is a body whose request ends when it is closed.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (e *timedBody) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}
