package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// setupFlags say which set-up is wanted, and where.
type setupFlags struct {
	setup    provision.Setup
	target   string
	endpoint string
	file     string
	services []string
	exclude  []string
	tags     map[string]string
	flags    *pflag.FlagSet
}

func (f *setupFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	s := &f.setup
	flags.StringVar(&f.target, "target", "aws", "`where`: aws, or local for an endpoint of aitrail local")
	flags.StringVar(&f.endpoint, "endpoint", "", "with --target local: the endpoint's folder or `URL` (default $AWS_ENDPOINT_URL, else aitrail-local)")
	flags.StringVar(&f.file, "setup", "", "`file` of the set-up as JSON, as aitrail template --format setup prints it; other flags go before it")
	flags.StringVar(&s.Account, "account", "", "the account's `number` (default that of the credentials)")
	flags.StringVar(&s.Region, "region", "", "home `Region` of trail and bucket (default that of the AWS configuration)")
	flags.StringVar(&s.Trail, "trail", "", "the trail's `name` (default ai-trail)")
	flags.StringVar(&s.Bucket, "bucket", "", "the log bucket's `name` (default TRAIL-ACCOUNT-REGION)")
	flags.StringVar(&s.Prefix, "prefix", "", "`prefix` of keys in the bucket (default cloudtrail)")
	flags.IntVar(&s.RetentionDays, "retention-days", 0, "`days` that log files are kept (default for ever)")
	flags.IntVar(&s.LogRetentionDays, "log-retention-days", 0, "`days` that the log group keeps events (default 7)")
	flags.IntVar(&s.ObjectLockDays, "object-lock-days", 0, "lock each log file for so many `days`")
	flags.StringVar(&s.ObjectLockMode, "object-lock-mode", "", "`mode` of the lock: GOVERNANCE (default) or COMPLIANCE, in which nobody can take it off")
	flags.StringVar(&s.KMSKey, "kms-key", "", "encrypt with the KMS key of this `ARN`")
	flags.BoolVar(&s.OwnKey, "own-key", false, "encrypt with a KMS key made for it")
	flags.BoolVar(&s.NoQueue, "no-queue", false, "no queue that is told of new log files")
	flags.BoolVar(&s.InvocationLogging, "invocation-logging", false, "have Bedrock write prompts and answers to a bucket of their own")
	flags.StringVar(&s.LakeBucket, "lake-bucket", "", "also a bucket of this `name` for a lake on S3, with Glue database and Athena workgroup")
	flags.StringVar(&s.Organization, "organization", "", "a trail of all the accounts of this organization, by `id`")
	flags.StringVar(&s.Management, "management", "", "the organization's management `account`, when called from a delegated administrator's")
	flags.StringVar(&s.DelegatedAdmin, "delegated-admin", "", "let this `account` manage the organization's trails")
	flags.StringSliceVar(&f.services, "services", nil, "record data events of these `services` only, by their keys in aitrail services (default all)")
	flags.StringSliceVar(&f.exclude, "exclude", nil, "record no data events of these `services or types` (bedrock, AWS::Lex::Bot …)")
	flags.StringToStringVar(&f.tags, "tag", nil, "`key=value` on all that is made (default Name=TRAIL)")
	flags.Lookup("tag").DefValue = ""
}

// resolve completes the set-up from its file and the flags, without asking AWS.
func (f *setupFlags) resolve() (provision.Setup, error) {
	s := f.setup
	if f.target != "aws" && f.target != "local" {
		return s, usagef("unknown target %q: aws and local are known", f.target)
	}
	if f.endpoint != "" && f.target != "local" {
		return s, usagef("--endpoint goes with --target local")
	}
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return s, err
		}
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.DisallowUnknownFields()
		var saved provision.Setup
		if err := d.Decode(&saved); err != nil {
			return s, usagef("%s is not a set-up: %w", f.file, err)
		}
		if s, err = f.over(saved); err != nil {
			return s, err
		}
	}
	if f.services != nil || f.exclude != nil {
		types, err := provision.DataTypes(f.services, f.exclude)
		if err != nil {
			return s, usageError{err}
		}
		s.DataTypes = types
	}
	if f.tags != nil {
		s.Tags = f.tags
	}
	return s, nil
}

// over lays the flags that were given over a set-up.
func (f *setupFlags) over(saved provision.Setup) (provision.Setup, error) {
	given := map[string]any{}
	text, err := json.Marshal(f.setup)
	if err == nil {
		err = json.Unmarshal(text, &given)
	}
	if err != nil {
		return saved, err
	}
	for name := range given {
		if flag := f.flags.Lookup(strings.ReplaceAll(name, "_", "-")); flag == nil || !flag.Changed {
			delete(given, name)
		}
	}
	if text, err = json.Marshal(given); err == nil {
		err = json.Unmarshal(text, &saved)
	}
	return saved, err
}

// access is the way to the account that the flags name.
func (a *app) access(f *setupFlags, region string) (live.Access, error) {
	way := live.Access{Region: region}
	if f.target != "local" {
		return way, nil
	}
	at := f.endpoint
	if at == "" {
		if at = a.Getenv("AWS_ENDPOINT_URL"); at == "" {
			at = "aitrail-local"
		}
	}
	if strings.HasPrefix(at, "http://") || strings.HasPrefix(at, "https://") {
		way.Endpoint = at
		return way, nil
	}
	env, err := readEnv(filepath.Join(at, "aws.env"))
	if errors.Is(err, os.ErrNotExist) {
		return way, fmt.Errorf("%w: %s has no aws.env", errNoEndpoint, at)
	}
	if err != nil {
		return way, err
	}
	way.Endpoint, way.KeyID, way.Secret = env["AWS_ENDPOINT_URL"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
	if way.Region == "" {
		way.Region = env["AWS_DEFAULT_REGION"]
	}
	return way, nil
}

// errNoEndpoint means that no local endpoint is where it was looked for.
var errNoEndpoint = errors.New("there is no local endpoint")

// readEnv reads the exports of an aws.env.
func readEnv(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "), "=")
		if ok {
			env[name] = strings.Trim(value, `"'`)
		}
	}
	return env, lines.Err()
}

// wrongAccountError is a set-up for another account than the credentials'.
type wrongAccountError struct{ want, have, arn string }

func (e *wrongAccountError) Error() string {
	return fmt.Sprintf("the set-up is for account %s, and the credentials are those of %s in account %s", e.want, e.arn, e.have)
}

// place is an account to work in, and the set-up for it.
type place struct {
	setup provision.Setup
	who   live.Identity
	plan  func(context.Context) ([]live.Step, error)
	apply func(context.Context, func(live.Step)) (provision.Outputs, error)
	down  func(context.Context, func(live.Step)) error
	read  func(context.Context) (provision.Outputs, error)
	check func(context.Context) ([]live.Check, error)
	// refused finds the data types that the Region doesn't know, by trying.
	refused func(context.Context) ([]string, error)
}

// connect completes the set-up with the account and Region of the credentials, and checks it.
func (a *app) connect(ctx context.Context, f *setupFlags) (*place, error) {
	s, err := f.resolve()
	if err != nil {
		return nil, err
	}
	way, err := a.access(f, s.Region)
	if err != nil {
		return nil, err
	}
	cfg, who, err := live.Connect(ctx, way)
	if err != nil {
		return nil, err
	}
	if s.Account == "" {
		s.Account = who.Account
	}
	if s.Account != who.Account {
		return nil, &wrongAccountError{s.Account, who.Account, who.ARN}
	}
	if s.Region == "" {
		s.Region = who.Region
	}
	if err := s.Validate(); err != nil {
		return nil, usageError{err}
	}
	return &place{
		setup: s, who: who,
		plan: func(ctx context.Context) ([]live.Step, error) { return live.Plan(ctx, cfg, s) },
		apply: func(ctx context.Context, p func(live.Step)) (provision.Outputs, error) {
			return live.Apply(ctx, cfg, s, p)
		},
		down:    func(ctx context.Context, p func(live.Step)) error { return live.Down(ctx, cfg, s, p) },
		read:    func(ctx context.Context) (provision.Outputs, error) { return live.ReadOutputs(ctx, cfg, s) },
		check:   func(ctx context.Context) ([]live.Check, error) { return live.Examine(ctx, cfg, s) },
		refused: func(ctx context.Context) ([]string, error) { return live.Refused(ctx, cfg, s) },
	}, nil
}

func (a *app) upCommand() *cobra.Command {
	var f setupFlags
	var p pulumiFlags
	c := &cobra.Command{
		Use: "up", Short: "Set up trail, bucket, policies, queue and log group in the account",
		Long: `Set up, in the account of the AWS credentials, a trail that records AI services: bucket and its policies, queue that is told of
new log files, log group and role, the trail with its event selectors. What is there already is added to, never replaced. It may be
run again at any time.

With --target aws the Pulumi engine does it and keeps the state; --target local sets up an endpoint of aitrail local through the AWS APIs.`,
		Example: "  aitrail preview                    what would be done\n  aitrail up                         do it\n  aitrail up --target local --endpoint ./aws",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), &f)
			if err != nil {
				return err
			}
			if f.target == "aws" {
				outputs, err := a.upPulumi(c.Context(), at, p)
				if err != nil {
					return err
				}
				return a.printOutputs(outputs)
			}
			out, err := a.up(c.Context(), at)
			if err != nil {
				return err
			}
			return a.printOutputs(outputMap(out))
		},
	}
	f.add(c.Flags())
	p.add(c.Flags())
	return c
}

// upPulumi has Pulumi make the set-up. One data type that the Region doesn't know has CloudTrail refuse all, after the trail was
// made: which it is is tried out on the trail, and the set-up made without it.
func (a *app) upPulumi(ctx context.Context, at *place, p pulumiFlags) (map[string]any, error) {
	outputs, err := a.pulumi(ctx, companion.Up, at.setup, p)
	var e *companion.Error
	if !errors.As(err, &e) || e.Code != companion.UnknownType {
		return outputs, err
	}
	refused, tried := at.refused(ctx)
	if tried != nil || len(refused) == 0 {
		return outputs, errors.Join(err, tried)
	}
	s := at.setup.Defaults()
	s.DataTypes = slices.DeleteFunc(slices.Clone(s.DataTypes), func(t string) bool { return slices.Contains(refused, t) })
	fmt.Fprintf(a.Stderr, "%s does not know %s; going on without: --exclude %s has them not asked for again\n", s.Region, strings.Join(refused, ", "), strings.Join(refused, ","))
	return a.pulumi(ctx, companion.Up, s, p)
}

// up applies the set-up, with progress.
func (a *app) up(ctx context.Context, at *place) (provision.Outputs, error) {
	counts := map[live.Action]int{}
	out, err := at.apply(ctx, func(s live.Step) {
		counts[s.Action]++
		a.tell(s)
	})
	if err != nil {
		return out, a.partial(err)
	}
	fmt.Fprintf(a.Stderr, "%d created, %d updated, %d unchanged\n", counts[live.Create], counts[live.Update], counts[live.Unchanged])
	if n := counts[live.LeftOut]; n > 0 {
		fmt.Fprintf(a.Stderr, "%d data types left out: --exclude %s has them not asked for again\n", n, strings.Join(out.LeftOut, ","))
	}
	return out, nil
}

// past is an action in the past tense.
func past(a live.Action) string {
	switch a {
	case live.Create:
		return "created"
	case live.Update:
		return "updated"
	case live.Remove:
		return "removed"
	case live.Keep:
		return "kept"
	}
	return string(a)
}

// tell shows a step that was done; unchanged ones are only counted.
func (a *app) tell(s live.Step) {
	if s.Action == live.Unchanged {
		return
	}
	text := fmt.Sprintf("  · %s %s %s", s.Kind, s.Name, past(s.Action))
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	separator := ": "
	for _, c := range s.Changes {
		text, separator = text+separator+c.Property, ", "
	}
	fmt.Fprintln(a.Stderr, text)
}

// partial says how far a command came that failed on its way.
func (a *app) partial(err error) error {
	var p *live.PartialError
	if !errors.As(err, &p) {
		return err
	}
	fmt.Fprintf(a.Stderr, "stopped at %s %s: %d of %d done", p.Failed.Kind, p.Failed.Name, len(p.Done), len(p.Done)+1+len(p.Left))
	if len(p.Left) > 0 {
		var left []string
		for _, r := range p.Left {
			left = append(left, r.ID)
		}
		fmt.Fprintf(a.Stderr, "; not begun: %s", strings.Join(left, ", "))
	}
	fmt.Fprintln(a.Stderr)
	return err
}

func (a *app) previewCommand() *cobra.Command {
	var f setupFlags
	var p pulumiFlags
	var rates map[string]string
	var price float64
	c := &cobra.Command{
		Use: "preview", Short: "Show what up would do, and change nothing",
		Long: `Show what up would do. Nothing is changed.

With --calls, the cost of data events is estimated from how many calls a month are expected; management events are delivered once
without charge.`,
		Example: "  aitrail preview\n  aitrail preview --calls bedrock=2000000,AWS::SageMaker::Endpoint=50000",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), &f)
			if err != nil {
				return err
			}
			if len(rates) > 0 {
				if err := a.estimate(at.setup, rates, price); err != nil {
					return err
				}
			}
			if f.target == "aws" {
				_, err := a.pulumi(c.Context(), companion.Preview, at.setup, p)
				return err
			}
			return a.preview(c.Context(), at)
		},
	}
	f.add(c.Flags())
	p.add(c.Flags())
	c.Flags().StringToStringVar(&rates, "calls", nil, "calls a month, as `service=number`, to estimate what data events cost")
	c.Flags().Lookup("calls").DefValue = ""
	c.Flags().Float64Var(&price, "data-event-price", provision.DataEventPrice, "US `dollars` for 100,000 data events; the default is from "+provision.PriceSource)
	return c
}

func (a *app) preview(ctx context.Context, at *place) error {
	steps, err := at.plan(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		text, err := json.Marshal(steps)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	counts := map[live.Action]int{}
	var list [][]any
	var unread error
	for _, s := range steps {
		counts[s.Action]++
		if s.Err != nil {
			list = append(list, []any{"unknown", string(s.Kind), s.Name, s.Err.Error()})
			unread = errors.Join(unread, fmt.Errorf("%s %s: %w", s.Kind, s.Name, s.Err))
			continue
		}
		if s.Action == live.Unchanged && a.output == "table" {
			continue
		}
		list = append(list, []any{string(s.Action), string(s.Kind), s.Name, changes(s.Changes)})
	}
	if err := a.print([]string{"action", "kind", "name", "changes"}, list); err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "%d to create, %d to update, %d unchanged\n", counts[live.Create], counts[live.Update], counts[live.Unchanged])
	return unread
}

// changes are what differs, in one line.
func changes(list []live.Change) string {
	var texts []string
	for _, c := range list {
		have, want := short(c.Have), short(c.Want)
		switch {
		case c.Detail != "":
			texts = append(texts, c.Property+": "+c.Detail)
		case c.Property == "AdvancedEventSelectors" && have == "":
			texts = append(texts, "event selectors to add: "+want)
		case c.Property == "AdvancedEventSelectors" && want == "":
			texts = append(texts, "event selectors too many: "+have)
		case c.Property == "AdvancedEventSelectors":
			texts = append(texts, "event selectors to change: "+want)
		case have == "":
			texts = append(texts, c.Property+": to be set to "+want)
		default:
			texts = append(texts, c.Property+": "+have+" → "+cmp.Or(want, "not set"))
		}
	}
	return strings.Join(texts, "; ")
}

// short cuts documents and long lists.
func short(s string) string {
	if strings.HasPrefix(s, "{") {
		return "a document"
	}
	if names := strings.Split(s, ", "); len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return s
}

// estimate shows on stderr what data events would cost a month.
func (a *app) estimate(s provision.Setup, rates map[string]string, price float64) error {
	calls := map[string]int64{}
	for name, text := range rates {
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		if err != nil || n < 0 {
			return usagef("--calls %s=%s: %q is not a number of calls", name, text, text)
		}
		calls[name] = n
	}
	list, err := s.Costs(calls, price)
	if err != nil {
		return usageError{err}
	}
	total := 0.0
	for _, e := range list {
		total += e.Cost
		note := ""
		if e.Note != "" {
			note = " (" + e.Note + ")"
		}
		fmt.Fprintf(a.Stderr, "  %-40s %15s data events a month  %12.2f USD%s\n", e.Name, thousands(e.Events), e.Cost, note)
	}
	fmt.Fprintf(a.Stderr, "data events: %.2f USD a month at %.2f USD for 100,000 (%s); S3, CloudWatch Logs and KMS charge besides\n"+
		"count the calls that aitrail services NAME shows as data events: Bedrock's InvokeModel and Converse are management events, delivered once without charge\n", total, price, provision.PriceSource)
	return nil
}

func (a *app) downCommand() *cobra.Command {
	var f setupFlags
	var p pulumiFlags
	c := &cobra.Command{
		Use: "down", Short: "Remove what up created, and keep what holds logs",
		Long: `Remove what up created. Buckets and log groups that hold something stay, with all that keeps them closed and the key they are
encrypted with, and are named. What was there before up stays as well.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), &f)
			if err != nil {
				return err
			}
			if f.target == "aws" {
				_, err := a.pulumi(c.Context(), companion.Down, at.setup, p)
				return err
			}
			return a.down(c.Context(), at)
		},
	}
	f.add(c.Flags())
	p.add(c.Flags())
	c.Flags().BoolVar(&p.All, "all", false, "with --target aws: what holds something too; buckets must be empty")
	return c
}

func (a *app) down(ctx context.Context, at *place) error {
	list := [][]any{}
	err := at.down(ctx, func(s live.Step) {
		list = append(list, []any{past(s.Action), string(s.Kind), s.Name, s.Reason})
	})
	if perr := a.print([]string{"action", "kind", "name", "reason"}, list); perr != nil {
		return errors.Join(a.partial(err), perr)
	}
	if err == nil && len(list) == 0 {
		fmt.Fprintln(a.Stderr, "nothing is set up here")
	}
	return a.partial(err)
}

func (a *app) outputsCommand() *cobra.Command {
	var f setupFlags
	var p pulumiFlags
	c := &cobra.Command{
		Use: "outputs", Short: "Show the names that users of the set-up need: bucket_name, trail_arn …",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), &f)
			if err != nil {
				return err
			}
			if f.target == "aws" {
				outputs, err := a.pulumi(c.Context(), companion.Outputs, at.setup, p)
				if err != nil {
					return err
				}
				return a.printOutputs(outputs)
			}
			out, err := at.read(c.Context())
			if err != nil {
				return err
			}
			return a.printOutputs(outputMap(out))
		},
	}
	f.add(c.Flags())
	p.add(c.Flags())
	return c
}

// outputMap are outputs by name.
func outputMap(o provision.Outputs) map[string]any {
	m := map[string]any{}
	text, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		panic(err) // strings encode
	}
	return m
}

// printOutputs prints outputs: as JSON one object, else a row each, the two that most want first, without those that are empty.
func (a *app) printOutputs(outputs map[string]any) error {
	if a.output == "json" {
		text, err := json.Marshal(outputs)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	first, rest := []string{"bucket_name", "trail_arn"}, []string(nil)
	for name := range outputs {
		if !slices.Contains(first, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	var list [][]any
	for _, name := range append(first, rest...) {
		text := ""
		switch v := outputs[name].(type) {
		case nil:
		case string:
			text = v
		case []any:
			var values []string
			for _, member := range v {
				values = append(values, fmt.Sprint(member))
			}
			text = strings.Join(values, ",")
		default:
			text = fmt.Sprint(v)
		}
		if text != "" {
			list = append(list, []any{name, text})
		}
	}
	if err := a.print([]string{"name", "value"}, list); err != nil {
		return err
	}
	if db, _ := outputs["database_name"].(string); db != "" {
		fmt.Fprintf(a.Stderr, "for a lake that Athena queries too: aitrail collect --lake glue://%s SOURCE\n", db)
	}
	return nil
}
