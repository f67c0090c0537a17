package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/query"
)

func (a *app) exportCommand() *cobra.Command {
	var f filterFlags
	var out, keyFile string
	var slim bool
	c := &cobra.Command{
		Use:   "export --evidence OUT.zip [FIELD=VALUE…]",
		Short: "Put events, and all that proves them, into a file that anyone can check",
		Long: `Write an evidence bundle of the events that the flags and FIELD=VALUE choose: the events, their log files as they stand,
the digests that prove them with their signatures, CloudTrail's public keys, a signed manifest, and a page that says how
to check all that without aitrail. Log files and digests are read from where they were collected, and verified anew.

Digests name all log files of an hour, so those are in the bundle as well: the AWS CLI then accepts it, unpacked into a
bucket. --slim leaves them out. aitrail verify OUT.zip checks a bundle; exit code 3 when not every event is proven.`,
		Example: "  aitrail export --evidence denied.zip --outcome denied --since 7d\n  aitrail verify denied.zip",
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usagef("export needs a file to write: --evidence OUT.zip")
			}
			f.Limit, f.Columns = 0, nil
			filter, err := f.filter(a, args)
			if err != nil {
				return err
			}
			x := &export{app: a, filter: filter, keyFile: keyFile, slim: slim, said: chosenBy(c, args), made: a.Now().UTC()}
			return x.run(c.Context(), out)
		},
	}
	f.add(c)
	for _, name := range []string{"columns", "limit"} {
		_ = c.Flags().MarkHidden(name) // the flag is there
	}
	c.Flags().StringVar(&out, "evidence", "", "`file` to write, a zip")
	c.Flags().StringVar(&keyFile, "keys", "", "`file` with public keys, as `aws cloudtrail list-public-keys` prints them")
	c.Flags().BoolVar(&slim, "slim", false, "leave out log files that hold none of the events")
	return c
}

// chosenBy returns the arguments that choose events.
func chosenBy(c *cobra.Command, args []string) []string {
	said := []string{}
	for _, name := range []string{"service", "model", "actor", "region", "account", "operation", "outcome", "since", "until"} {
		if f := c.Flags().Lookup(name); f.Changed {
			said = append(said, "--"+name+"="+f.Value.String())
		}
	}
	return append(said, args...)
}

// export is one bundle being made.
type export struct {
	*app
	filter  query.Filter
	keyFile string
	slim    bool
	said    []string
	made    time.Time

	chosen  map[string][]int64 // the events' places, by log file URL
	ids     map[string]map[int64]string
	places  []*exportPlace
	keys    map[string]digest.RegionKey // by fingerprint
	bundle  *bundleWriter
	listing manifest
}

func (x *export) run(ctx context.Context, out string) error {
	if err := x.choose(ctx); err != nil {
		return err
	}
	points, err := x.checkpoints()
	if err != nil {
		return err
	}
	for _, p := range x.places {
		if err := p.prove(ctx, x, points); err != nil {
			return err
		}
	}
	dir, err := x.lakePath()
	if err != nil {
		return err
	}
	x.listing = manifest{Version: bundleVersion, Made: x.made, Filter: x.said, Lake: dir, LeftOut: x.listing.LeftOut,
		LogFiles: []bundleItem{}, Digests: []bundleItem{}}
	if err := x.write(ctx, out, points); err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	}
	m := &x.listing
	if x.output == "json" {
		if err := x.encode(m); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(x.Stdout, "%s, %s of them proven, %s, %s in %s\n",
			plural(m.Events, "event"), thousands(m.Proven), plural(int64(len(m.LogFiles)), "log file"), plural(int64(len(m.Digests)), "digest"), out)
	}
	if m.LeftOut > 0 {
		fmt.Fprintf(x.Stderr, "%s more events left out: they came one by one, from a log group or the event history, and no collected log file holds them\n",
			thousands(m.LeftOut))
	}
	if m.Proven < m.Events || m.LeftOut > 0 {
		return errFound
	}
	return nil
}

func (x *export) encode(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.printJSON(text)
}

// errLiveOnly is what an export ends in when no log file of the lake holds a chosen event.
var errLiveOnly = errors.New("all chosen events came one by one, from a log group or the event history: no collected log file holds them")

// choose asks the lake for the events, and sorts their log files by place and time.
func (x *export) choose(ctx context.Context) error {
	x.chosen, x.keys, x.ids = map[string][]int64{}, map[string]digest.RegionKey{}, map[string]map[int64]string{}
	x.filter.Columns = []string{"source_object", "source_index", "eventID", "recipientAccountId", "awsRegion", "eventTime"}
	var live []liveEvent
	err := x.withDB(ctx, query.Options{}, func(db *query.DB) error {
		rows, err := db.Events(ctx, x.filter)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v := rows.Values()
			object := query.Text(v[0])
			if isLive(object) {
				at, _ := v[5].(time.Time)
				live = append(live, liveEvent{query.Text(v[2]), query.Text(v[3]), query.Text(v[4]), at})
				continue
			}
			index, _ := v[1].(int64)
			x.choosePlace(object, index, query.Text(v[2]))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		files, err := filesOf(ctx, db, live)
		for e, file := range files {
			x.choosePlace(file.object, file.index, e.id)
		}
		x.listing.LeftOut = int64(len(live) - len(files))
		return err
	})
	if err != nil {
		return err
	}
	if len(x.chosen) == 0 && x.listing.LeftOut > 0 {
		return errLiveOnly
	}
	if len(x.chosen) == 0 {
		return errors.New("no events: there is nothing to export")
	}
	places := map[string]*exportPlace{}
	for object, list := range x.chosen {
		slices.Sort(list)
		source, path := splitObject(object)
		key, _ := cloudtrail.ParseKey(path)
		prefix, _, _ := strings.Cut(path, "/"+string(key.Kind)+"/")
		if prefix == path || key.Kind == "" {
			prefix = path[:strings.LastIndexByte(path, '/')+1]
		} else {
			prefix += "/"
		}
		name := strings.Join([]string{source, prefix, key.Account, key.Region}, "\x00")
		p := places[name]
		if p == nil {
			p = &exportPlace{source: source, prefix: prefix, account: key.Account, region: key.Region, verdicts: map[string]digest.FileVerdict{}}
			places[name] = p
			x.places = append(x.places, p)
		}
		p.files = append(p.files, exportFile{path, key.Time})
	}
	slices.SortFunc(x.places, func(a, b *exportPlace) int {
		return strings.Compare(a.source+a.prefix+a.account+a.region, b.source+b.prefix+b.account+b.region)
	})
	return nil
}

// choosePlace chooses a record of a log file.
func (x *export) choosePlace(object string, index int64, id string) {
	x.chosen[object] = append(x.chosen[object], index)
	if x.ids[object] == nil {
		x.ids[object] = map[int64]string{}
	}
	x.ids[object][index] = id
}

// splitObject divides a log file's URL into a source that holds its digests too, and its path there.
func splitObject(url string) (source, path string) {
	if rest, ok := strings.CutPrefix(url, "s3://"); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		return "s3://" + bucket, key
	}
	if i := strings.Index(url, "/AWSLogs/"); i >= 0 {
		return url[:i+1], url[i+1:]
	}
	i := strings.LastIndexByte(url, '/') + 1
	return url[:i], url[i:]
}

// write makes the zip under another name first.
func (x *export) write(ctx context.Context, out string, points *checkpoints) error {
	f, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	x.bundle = &bundleWriter{zip: zip.NewWriter(f), made: x.made, names: map[string]bool{}}
	if err := errors.Join(x.fill(ctx, points), x.bundle.zip.Close()); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}

// fill writes all files of the bundle.
func (x *export) fill(ctx context.Context, points *checkpoints) error {
	events, err := os.CreateTemp("", "aitrail-events-*")
	if err != nil {
		return err
	}
	defer os.Remove(events.Name())
	defer events.Close()
	for _, p := range x.places {
		if err := p.write(ctx, x, events); err != nil {
			return err
		}
	}
	if _, err := events.Seek(0, 0); err != nil {
		return err
	}
	if err := x.bundle.add(bundleEvents, events); err != nil {
		return err
	}
	if err := x.writeKeys(); err != nil {
		return err
	}
	key, err := points.signer()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{
		{bundleExporter, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		{"README.txt", x.readme()},
		{"check.sh", bundleScript},
	} {
		if err := x.bundle.add(f.name, strings.NewReader(f.text)); err != nil {
			return err
		}
	}
	return x.seal(key)
}

// seal writes the manifest and its signature.
func (x *export) seal(key ed25519.PrivateKey) error {
	sums := x.bundle.sums()
	x.listing.Files = slices.Clone(x.bundle.files)
	text, err := plainJSON(x.listing)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"SHA256SUMS", []byte(sums)}, {bundleManifest, text}, {bundleSignature, ed25519.Sign(key, text)}} {
		w, err := x.bundle.create(f.name)
		if err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	return nil
}

// writeKeys writes CloudTrail's public keys.
func (x *export) writeKeys() error {
	type listed struct {
		Value                              []byte
		ValidityStartTime, ValidityEndTime time.Time `json:",omitzero"`
		Fingerprint                        string
	}
	byRegion := map[string][]listed{}
	var fingerprints []string
	for fp := range x.keys {
		fingerprints = append(fingerprints, fp)
	}
	slices.Sort(fingerprints)
	for _, fp := range fingerprints {
		k := x.keys[fp]
		byRegion[k.Region] = append(byRegion[k.Region], listed{digest.MarshalPublicKey(k.Public), k.From, k.To, k.Fingerprint})
		der, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			return err
		}
		name := bundleKeys + filepath.Base(fp) + ".pem"
		if err := x.bundle.add(name, bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))); err != nil {
			return err
		}
	}
	for region, list := range byRegion {
		text, err := json.MarshalIndent(map[string]any{"PublicKeyList": list}, "", "    ")
		if err != nil {
			return err
		}
		if err := x.bundle.add(bundleKeys+region+".json", bytes.NewReader(append(text, '\n'))); err != nil {
			return err
		}
	}
	return nil
}

// signer returns the key that bundles are signed with, which the first use makes.
func (c *checkpoints) signer() (ed25519.PrivateKey, error) {
	if c.key != nil {
		return c.key, nil
	}
	if c.altered != "" {
		return nil, fmt.Errorf("%s: %s: run aitrail verify first, which says what that means", c.path(), c.altered)
	}
	err := c.begin()
	return c.key, err
}

// fingerprint names an exporter's key.
func fingerprint(key ed25519.PublicKey) string { return hex.EncodeToString(key)[:16] }
