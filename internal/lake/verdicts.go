package lake

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// SetVerdicts sets the verdicts of log files; objects that aren't in the lake are ignored. It returns how many rows
// changed. Durable on return; may be repeated. The files of log_files that hold those rows are written anew.
func (l *Lake) SetVerdicts(ctx context.Context, verdicts []Verdict) (int, error) {
	if l.opts.ReadOnly {
		return 0, ErrReadOnly
	}
	changed, err := l.setVerdicts(ctx, verdicts)
	if err != nil {
		return 0, fmt.Errorf("setting verdicts in lake %s: %w", l.d.root, err)
	}
	return changed, nil
}

func (l *Lake) setVerdicts(ctx context.Context, verdicts []Verdict) (int, error) {
	byObject := make(map[string]Verdict, len(verdicts))
	for _, v := range verdicts {
		byObject[v.Object] = v
	}
	unlock, err := l.d.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	changed := 0
	err = retry(ctx, func() error {
		changed, err = l.judge(ctx, byObject)
		return err
	})
	return changed, err
}

// judge sets verdicts upon the current version of log_files.
func (l *Lake) judge(ctx context.Context, verdicts map[string]Verdict) (changed int, err error) {
	_, files, err := l.repair(ctx)
	if err != nil {
		return 0, err
	}
	entries, err := l.entries(files)
	if err != nil {
		return 0, err
	}
	old := map[string]struct{}{}
	var rows []*fileRow
	for _, e := range entries {
		here, n, err := l.judged(e.Path, verdicts)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			old[e.Path] = struct{}{}
			rows, changed = append(rows, here...), changed+n
		}
	}
	if changed == 0 {
		return 0, nil
	}
	return changed, l.replaceRows(ctx, files, old, rows)
}

// judged returns a file's rows with their verdicts, and how many changed.
func (l *Lake) judged(path string, verdicts map[string]Verdict) (rows []*fileRow, changed int, err error) {
	err = readRows(l.d, path, func(_ int64, row *fileRow) error {
		if v, ok := verdicts[row.Object]; ok && (row.Verdict != v.Verdict || row.VerdictNote != v.Note) {
			row.Verdict, row.VerdictNote = v.Verdict, v.Note
			changed++
		}
		rows = append(rows, row)
		return nil
	})
	return rows, changed, err
}

// replaceRows puts rows in the place of files of log_files, given by their paths.
func (l *Lake) replaceRows(ctx context.Context, files *loaded, old map[string]struct{}, rows []*fileRow) error {
	path := join(l.dataDir(LogFiles), newName("-verdicts.parquet"))
	written, err := writeTable(l.d, path, rows)
	if err != nil {
		return err
	}
	if err := l.d.syncDir(parent(path)); err != nil {
		return err
	}
	return l.replace(ctx, files, change{old: old, files: []*dataFile{written}})
}

// errReplaced is returned for files that another process took out of the table meanwhile.
var errReplaced = errors.New("files were replaced meanwhile")

// change is files to take out of a table, by their paths, and files to put in.
type change struct {
	old        map[string]struct{}
	files      []*dataFile
	summary    iceberg.Properties // of the snapshot
	properties iceberg.Properties // of the table
}

// replace changes the files of a table by one commit.
func (l *Lake) replace(ctx context.Context, t *loaded, c change) error {
	var old, described []iceberg.DataFile
	err := l.eachManifest(t, func(m iceberg.ManifestFile) error {
		return l.eachFile(m, func(f iceberg.DataFile) {
			if _, replaced := c.old[l.d.path(f.FilePath())]; replaced {
				old = append(old, f)
			}
		})
	})
	if err != nil {
		return err
	}
	if len(old) != len(c.old) {
		return errReplaced
	}
	for _, f := range c.files {
		d, err := f.iceberg(l.d, t.Spec())
		if err != nil {
			return err
		}
		described = append(described, d)
	}
	txn := t.NewTransaction()
	err = txn.ReplaceDataFilesWithDataFiles(ctx, old, described, c.summary, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping())
	if err != nil {
		return err
	}
	if c.properties != nil {
		if err := txn.SetProperties(c.properties); err != nil {
			return err
		}
	}
	_, err = txn.Commit(ctx)
	return err
}

// writeTable writes rows of log_files to a file.
func writeTable(d *disk, path string, rows []*fileRow) (*dataFile, error) {
	c := newColumns(rowTypes[LogFiles])
	order := make([]uint32, len(rows))
	for i, r := range rows {
		c.file(r)
		order[i] = uint32(i)
	}
	f := &dataFile{d: d, path: path}
	if err := newEncoder().create(f, c, order); err != nil {
		return nil, err
	}
	return f, nil
}

// file adds a row of log_files: the values in the order of fileRow's fields.
func (c *columns) file(r *fileRow) {
	c.next()
	c.text(r.Object)
	c.number(r.Size, true)
	c.text(r.ETag)
	c.text(r.SHA256)
	c.text(r.Kind)
	c.text(r.Account)
	c.text(r.Region)
	c.number(r.Events, true)
	c.number(r.Duplicates, true)
	for _, t := range []*micros{r.First, r.Last, r.CollectedAt} {
		c.time(t.time())
	}
	c.text(r.Status)
	c.text(r.Reason)
	c.text(r.Verdict)
	c.text(r.VerdictNote)
	c.text(r.Batch)
}
