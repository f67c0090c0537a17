package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// ErrCatalog is returned when the catalog of a lake can't be asked, or refuses.
var ErrCatalog = errors.New("catalog")

// ErrDenied is returned when a REST catalog doesn't take the credentials, or there are none.
var ErrDenied = errors.New("the catalog refuses the credentials")

// ErrNoDatabase is returned for a database of AWS Glue that isn't there.
var ErrNoDatabase = errors.New("no such database")

// errUnknown is returned for a commit of which nobody can say whether it took effect, or will yet. Files that it names
// must stay: they are orphans at worst.
var errUnknown = errors.New("nobody knows whether the commit took effect")

// tableCatalog is a service that knows which version of a table is the current one. In a folder or a bucket the files
// themselves tell (tableFiles); here Glue or a REST catalog does.
type tableCatalog interface {
	// locate returns where a table is, or, if it isn't there, where the catalog wants it, "" for anywhere.
	locate(name string) (at string, there bool, err error)
	// load returns the current version of a table; without its metadata if it is the one at known. ErrNoLake if there is
	// no table.
	load(name, known string) (version, error)
	// create makes a table; success if there is one.
	create(name string, meta table.Metadata) error
	// commit changes a table that meets the requirements and whose version is base. table.ErrCommitFailed if it isn't.
	// It may fail though it took effect, or, with errUnknown, will: the caller looks.
	commit(ctx context.Context, base *loaded, reqs []table.Requirement, updates []table.Update) (version, error)
}

// version is a version of a table as a catalog has it.
type version struct {
	meta     table.Metadata
	location string // of the metadata's file
}

// address is the URL of a lake in a catalog: glue://DATABASE?location=… or rest+https://HOST/PATH?namespace=…&location=….
type address struct {
	scheme    string   // glue, http, https
	database  string   // of Glue
	uri       string   // of the REST catalog
	namespace []string // there
	location  string   // of the lake's files; "" where the catalog knows
	options   url.Values
}

// restOptions are the parameters of a REST catalog's URL that are for the catalog.
var restOptions = []string{"warehouse", "oauth2-server-uri", "scope", "audience", "resource", "sigv4"}

// withoutSecrets is an address that may be shown: a URL without what credentials may have been written into.
func withoutSecrets(at string) string {
	at, _, _ = strings.Cut(at, "?")
	scheme, rest, isURL := strings.Cut(at, "://")
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); isURL && i >= 0 {
		host = "…" + host[i:]
	}
	if at = scheme; isURL {
		at += "://" + host
	}
	if slash {
		at += "/" + path
	}
	return at
}

func parseAddress(at string) (a address, err error) {
	u, err := url.Parse(at)
	if err != nil {
		return a, errors.New("not a URL") // the error would show what may be a secret
	}
	if u.User != nil {
		return a, fmt.Errorf("credentials stand in the URL of %s: they belong in the environment, as %s or %s", u.Host, envToken, envCredential)
	}
	q := u.Query()
	known := append([]string{"location", "namespace"}, restOptions...)
	a = address{scheme: strings.TrimPrefix(u.Scheme, "rest+"), location: strings.TrimRight(q.Get("location"), "/"), options: q}
	if u.Scheme == "glue" {
		known = known[:1]
		a.database = u.Host
		if u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return a, errors.New("the URL of a lake in AWS Glue is glue://DATABASE, or glue://DATABASE?location=s3://BUCKET/PREFIX to make one")
		}
	} else {
		if u.Host == "" || a.scheme != "http" && a.scheme != "https" {
			return a, errors.New("the URL of a lake in a REST catalog is rest+https://HOST/PATH?namespace=NAME, and &location=s3://BUCKET/PREFIX to make one")
		}
		a.uri = (&url.URL{Scheme: a.scheme, Host: u.Host, Path: u.Path}).String()
		a.namespace = []string{"aitrail"}
		if n := q.Get("namespace"); n != "" {
			a.namespace = strings.Split(n, ".")
		}
	}
	for name := range q {
		if !slices.Contains(known, name) {
			return a, fmt.Errorf("the lake's URL has the parameter %q; it may have %s", name, strings.Join(known, ", "))
		}
	}
	if scheme, rest, isURL := strings.Cut(a.location, "://"); a.location != "" && (!isURL || rest == "" || scheme != "s3" && scheme != "file") {
		return a, fmt.Errorf("location %q is not one: s3://BUCKET/PREFIX", a.location)
	}
	return a, nil
}

// place says where a lake's files are: where its table events is, or else where the URL or the catalog want it.
func (a address) place(c tableCatalog, create bool) (string, error) {
	at, there, err := c.locate(Events)
	if err != nil {
		return "", err
	}
	root, ok := strings.CutSuffix(strings.TrimRight(at, "/"), "/"+Events)
	switch {
	case there && !ok:
		return "", fmt.Errorf("table %s is at %s: it isn't a lake's, which lies in a folder of its name", Events, at)
	case there && a.location != "" && plainLocation(root) != plainLocation(a.location):
		return "", fmt.Errorf("the lake's files are at %s, not at %s", root, a.location)
	case there:
		return root, nil
	case !create:
		return "", ErrNoLake
	case a.location != "":
		return a.location, nil
	case root != "":
		return root, nil
	}
	return "", errors.New("to make a lake, its URL must say where the files go: ?location=s3://BUCKET/PREFIX")
}

// plainLocation is a location as this program writes it: paths without scheme, and S3 by its own name.
func plainLocation(at string) string {
	at = strings.TrimPrefix(at, "file://")
	for _, alias := range []string{"s3a://", "s3n://"} {
		if rest, ok := strings.CutPrefix(at, alias); ok {
			return "s3://" + rest
		}
	}
	return at
}

// openCatalog makes the lake one of a catalog's.
func (l *Lake) openCatalog(ctx context.Context, at string) error {
	a, err := parseAddress(at)
	if err != nil {
		return err
	}
	l.name = withoutSecrets(at)
	if len(a.namespace) > 0 {
		l.name += "?namespace=" + strings.Join(a.namespace, ".")
	}
	ctx = context.WithoutCancel(ctx)
	if a.database != "" {
		l.catalog, err = openGlue(ctx, a.database, l.d, l.opts.backoff)
	} else {
		l.catalog, err = openREST(ctx, a)
	}
	if err != nil {
		return err
	}
	found, err := a.place(l.catalog, l.opts.Create && !l.opts.ReadOnly)
	if err != nil {
		return err
	}
	return l.openFiles(ctx, found)
}

// openFiles sets where the files are.
func (l *Lake) openFiles(ctx context.Context, location string) (err error) {
	l.d.root = plainLocation(location)
	if location != l.d.root && !strings.HasPrefix(location, "file://") {
		l.d.from = location
	}
	if strings.HasPrefix(l.d.root, "s3://") {
		l.d.remote, err = openRemote(ctx, l.d.root, l.opts.Cache, l.opts.backoff)
		return err
	}
	if !filepath.IsAbs(filepath.FromSlash(l.d.root)) {
		return fmt.Errorf("the lake's files are at %q: only s3:// and file:// are supported", location)
	}
	return nil
}

// ErrTaken is returned for a lake that is to be made where another one's files are.
var ErrTaken = errors.New("the files of another lake are there")

// lakeOfAnother tells whether the folder has metadata of a table that something else names: a lake in a catalog, for one that
// files would tell, and the other way round. Two lakes would take each other's files for orphans. What a catalog's first commit
// left that was cut off is none.
func (l *Lake) lakeOfAnother() error {
	return l.d.list(l.metadataDir(Events), func(path string, _ int64, _ time.Time) error {
		numbered := metadataNumber.FindStringSubmatch(path)
		files := metadataName.MatchString(path)
		if l.catalog != nil && (files || numbered != nil && strings.Trim(numbered[1], "0") != "") || l.catalog == nil && numbered != nil {
			return fmt.Errorf("%w: %s", ErrTaken, path)
		}
		return nil
	})
}

// cataloged is one table of a tableCatalog. It is what iceberg-go commits through.
type cataloged struct {
	d    *disk
	c    tableCatalog
	name string

	mu   sync.Mutex
	last *loaded
}

var (
	_ versions        = (*cataloged)(nil)
	_ table.CatalogIO = (*cataloged)(nil)
)

// load implements versions.
func (t *cataloged) load() (*loaded, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := ""
	if t.last != nil {
		known = t.last.MetadataLocation()
	}
	now, err := t.c.load(t.name, known)
	if err != nil {
		return nil, err
	}
	if now.location == known {
		return t.last, nil
	}
	if err := t.d.check(t.name, now.meta); err != nil {
		return nil, err
	}
	if at, want := strings.TrimRight(now.meta.Location(), "/"), join(t.d.root, t.name); t.d.path(at) != want {
		return nil, fmt.Errorf("table %s is at %s, not at %s: a lake's tables lie side by side", t.name, at, want)
	}
	t.last = newLoaded(t.d, t.name, now.meta, now.location, t)
	return t.last, nil
}

// create implements versions.
func (t *cataloged) create(meta table.Metadata) error {
	if _, err := t.load(); !errors.Is(err, ErrNoLake) {
		return err
	}
	return t.d.step("publish", join(t.d.root, t.name), func() error { return t.c.create(t.name, meta) })
}

// LoadTable implements table.CatalogIO.
func (t *cataloged) LoadTable(context.Context, table.Identifier) (*table.Table, error) {
	l, err := t.load()
	if err != nil {
		return nil, err
	}
	return l.Table, nil
}

// CommitTable implements table.CatalogIO. After an error the catalog is asked whether the change is there all the same:
// an answer that was lost must not be taken for a failure.
func (t *cataloged) CommitTable(ctx context.Context, _ table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	base, err := t.load()
	if err != nil {
		return nil, "", err
	}
	if err := base.meets(reqs); err != nil {
		return nil, "", err
	}
	var now version
	err = t.d.step("publish", join(t.d.root, t.name), func() (err error) {
		now, err = t.c.commit(ctx, base, reqs, updates)
		if err == nil {
			return nil
		}
		found, lookErr := t.c.load(t.name, "")
		if lookErr != nil {
			return fmt.Errorf("%w: %w", errUnknown, errors.Join(err, lookErr))
		}
		if took, lookErr := tookEffect(found.meta, updates); !took || lookErr != nil {
			return errors.Join(err, lookErr)
		}
		now = found
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = newLoaded(t.d, t.name, now.meta, now.location, t)
	return now.meta, now.location, nil
}

// tookEffect tells whether a table has been changed as the updates say: by its snapshot if they bring one, which no other
// change has, else by properties and snapshots taken out, where it doesn't matter who did it.
func tookEffect(meta table.Metadata, updates []table.Update) (bool, error) {
	took := false
	for _, u := range updates {
		b, err := json.Marshal(u)
		if err != nil {
			return false, err
		}
		var said struct {
			Snapshot *struct {
				ID int64 `json:"snapshot-id"`
			}
			Updates  iceberg.Properties
			Removals []string
			IDs      []int64 `json:"snapshot-ids"`
		}
		if err := json.Unmarshal(b, &said); err != nil {
			return false, err
		}
		if said.Snapshot != nil {
			return meta.SnapshotByID(said.Snapshot.ID) != nil, nil
		}
		for name, value := range said.Updates {
			if took = true; meta.Properties()[name] != value {
				return false, nil
			}
		}
		for _, name := range said.Removals {
			if _, there := meta.Properties()[name]; there {
				return false, nil
			}
			took = true
		}
		for _, id := range said.IDs {
			if took = true; meta.SnapshotByID(id) != nil {
				return false, nil
			}
		}
	}
	return took, nil
}
